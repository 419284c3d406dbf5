"""Old claims go, young ones stay: a record that may still come again is known."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from services.kit.persistence import pruning
from services.kit.persistence.database import Database
from tests.integration.kit.harness import Probe

FILL = text(
    """
    INSERT INTO inbox SELECT 'group', '/test', n::text, now() - make_interval(days => n, hours => 1)
    FROM generate_series(0, 99) AS n
    """
)


async def test_claims_older_than_the_retention_are_deleted(probe: Probe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pruning, "ROWS", 7)
    database = Database(probe.dsn, "/test/pruning")
    async with database.unit_of_work() as work:
        await work.connection.execute(FILL)
    assert pruning.INBOX.days == 45
    assert await pruning.prune(database, pruning.INBOX) == 55
    assert await pruning.prune(database, pruning.INBOX) == 0
    async with database.unit_of_work() as work:
        left = (await work.connection.execute(text("SELECT count(*), max(id::int) FROM inbox"))).one()
    assert tuple(left) == (45, 44)
    await database.close()
