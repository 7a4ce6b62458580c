"""The way from the staging directory to a repo: check, plan, drain; retry and trim."""
