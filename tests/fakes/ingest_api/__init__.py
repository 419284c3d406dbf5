"""In-memory adapters, credentials and builders for tests of the front door."""
