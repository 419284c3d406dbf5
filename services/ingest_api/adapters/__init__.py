"""One technology a file: Postgres by store, Redis, Kafka, tokens."""
