"""In-memory doubles of what the plumbing stands on."""
