"""Metering as a process, on real parts."""
