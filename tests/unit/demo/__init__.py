"""The demo's own arithmetic: what it takes for held, and what it must not."""
