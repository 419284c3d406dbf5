"""Kueue's baseline load on this scheduler, on a virtual clock: how many admissions a second, and who waits how long."""
