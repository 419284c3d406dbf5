"""In-memory adapters of the scheduler's ports, and builders of what its tests talk about."""
