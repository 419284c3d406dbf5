"""One front door on in-memory stores."""

from __future__ import annotations

import pytest

from tests.fakes.ingest_api.front import Front


@pytest.fixture
async def front() -> Front:
    """The application, with a tenant that has a model in two versions."""
    made = Front()
    await made.open_up()
    return made
