"""In-memory adapters of metering's ports, and builders of what its tests talk about."""
