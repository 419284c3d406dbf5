"""What an ingest process runs beside its consumers: the REST server, and the bell that wakes those who wait."""
