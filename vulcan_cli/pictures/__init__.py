"""How a figure becomes a picture: letters for a terminal, files by Matplotlib."""
