"""Training: the one loop, and all that knows optimisers, schedules and ranks."""
