"""Alembic's entry point; the kit does the rest."""

from services.kit.persistence.migrate import run_environment

run_environment()
