"""The `taxiway` command, without a platform."""
