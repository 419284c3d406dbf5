"""The quota adapter on a real Redis: what only a real one can show."""
