"""What the process runs: the counting of records, and the loops beside it."""
