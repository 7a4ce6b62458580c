"""How people read what is there: catalog, query, splits, features."""
