"""One module a verb: its signature, its settings, one call of the core, one call of the output."""
