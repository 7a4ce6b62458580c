"""Where shards go: a repo on the Hugging Face Hub, or a folder that behaves like one."""
