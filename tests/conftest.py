"""Fixtures of all tests: the real parts, started once a session when a test first asks for them."""

pytest_plugins = ["infra.local.pytest_plugin"]
