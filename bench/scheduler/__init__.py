"""Measures the whole scheduler service: Kafka in, PostgreSQL, Kafka out, one process on a cluster of 1,213 nodes."""
