"""How a pool decides: pure and synchronous, no I/O, no clock, no chance. The same inputs give the same decisions."""
