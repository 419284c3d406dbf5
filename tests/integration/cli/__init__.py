"""The `taxiway` command against a running front door and the real log."""
