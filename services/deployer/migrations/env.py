"""Runs under Alembic; see `services.kit.persistence.migrate`."""

from services.kit.persistence.migrate import run_environment

run_environment()
