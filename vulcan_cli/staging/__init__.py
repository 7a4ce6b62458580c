"""Where shards wait: the staging directory that all nodes share. Knows names, not parquet."""
