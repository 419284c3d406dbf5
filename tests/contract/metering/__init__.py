"""Contracts of metering's ports: the in-memory and the real adapters pass the same suite."""
