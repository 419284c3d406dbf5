"""PostgreSQL behind the scheduler's ports."""
