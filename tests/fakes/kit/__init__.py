"""In-memory doubles of the kit."""
