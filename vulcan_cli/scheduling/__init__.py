"""When and where things run: timers, job arrays, and what a scheduler says of a job."""
