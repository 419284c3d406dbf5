"""Who is asked to make room for whom."""
