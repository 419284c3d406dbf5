"""The `taxiway` command: a client of the REST API and of replay, nothing more. Any number of copies; it keeps nothing.

`main` joins one module a command group. `session` finds out whom to speak to, `api` speaks REST, `history` reads the
log without the API, `output` prints a table for people or JSON for programs.
"""
