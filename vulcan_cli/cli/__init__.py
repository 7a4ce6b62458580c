"""What a person types: options, commands, and the only code that prints."""
