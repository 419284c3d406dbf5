"""What people ask a pool, answered by the code that decides."""
