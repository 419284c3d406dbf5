"""Whose turn it is, when it comes, and what is promised until then."""
