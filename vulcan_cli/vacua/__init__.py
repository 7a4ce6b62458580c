"""What a shard is: geometry, run id, columns, the parquet file. No staging directory, no network."""
