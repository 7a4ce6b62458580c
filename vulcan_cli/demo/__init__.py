"""Real vacua for `vulcan demo`."""
