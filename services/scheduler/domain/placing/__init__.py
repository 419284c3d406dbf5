"""What fits where, now or ever, and which place it gets."""
