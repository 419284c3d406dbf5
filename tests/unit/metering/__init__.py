"""Metering without parts: its rules, and the way of one record over in-memory adapters."""
