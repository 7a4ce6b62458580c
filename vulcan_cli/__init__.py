"""vulcan: stage flux vacua, publish them to one Hugging Face dataset, query and split them."""

__version__ = "0.1.0"
