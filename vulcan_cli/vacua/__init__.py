"""What a shard is: geometry, run id, columns, the parquet file. Nothing shared, no network."""
