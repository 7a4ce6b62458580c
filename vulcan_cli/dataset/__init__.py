"""How people read what is there: catalog, query, splits, features."""

DEFAULT_CACHE_SIZE = 32
"""How many shards a reader keeps in memory."""
