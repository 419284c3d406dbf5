"""How a pool decides: pure and synchronous, no I/O, no clock, no chance. The same inputs give the same decisions.

From the ground up, and each knows those before it only (an import rule): `model`, `decision`, `nodes`, `policies`,
`placing`, `pool`, `waiting`, `deciding`, `draining`, `settle`, `questions`, `apply`, `audit`.
"""
