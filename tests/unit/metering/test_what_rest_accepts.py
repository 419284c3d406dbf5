"""What REST accepts is counted: whatever the front door takes, metering's checks take, also when clocks differ."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, timedelta
from functools import cache
from typing import Any, cast

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import event, given, settings
from hypothesis import strategies as st

from schemas.base import MAX_AHEAD
from schemas.envelope import Headers
from schemas.tenant import PLATFORM_TENANT, Meter, ProducerScope
from schemas.usage import EARLIEST, is_hold_of
from services.ingest_api.adapters.kafka_usage import KafkaUsageLog, SigningKey
from services.ingest_api.domain.usage_input import BATCH, FUTURE, PLAIN, SAMPLE_TYPE
from services.ingest_api.entrypoints.http.routers.quota import HOLD_ID
from services.kit.clock import HeldClock
from services.kit.messaging.producer import ProducerBridge
from services.kit.messaging.record import Record
from services.metering.domain.model import Producer, Report
from services.metering.entrypoints.intake import Intake
from tests.fakes.ingest_api.application import Application
from tests.fakes.ingest_api.builders import NOW, TENANT
from tests.fakes.metering.ledger import InMemoryProducers

KEY = SigningKey(Ed25519PrivateKey.generate())
API = Producer(KEY.key_id, PLATFORM_TENANT, KEY.public_text, ProducerScope.API)


class Wire:
    """A producer's `send`; metering reads what was sent, by a broker whose clock may be behind ours."""

    def __init__(self) -> None:
        self._intake = Intake(InMemoryProducers(API), HeldClock(NOW), patience_seconds=0)
        self.behind = timedelta(0)
        self.reports: list[Report] = []

    async def send(self, topic: str, key: bytes, value: bytes, headers: Headers) -> None:
        """Deliver; raises `ContractError` where metering would set the record aside."""
        at = round((NOW - self.behind).timestamp() * 1000)
        record = Record(topic, 0, len(self.reports), key, value, list(headers), at)
        self.reports.append(await self._intake.read(record))


class Door:
    """The front door's application, on this wire."""

    def __init__(self) -> None:
        self.wire = Wire()
        self._application = Application(log=KafkaUsageLog(cast(ProducerBridge, self.wire), KEY))

    async def takes(self, path: str, media_type: str, body: Any, behind: timedelta) -> int:
        """Samples accepted of this body; all of them were read by metering."""
        self.wire.behind, self.wire.reports = behind, []
        self._application.marks.states.clear()
        headers = {"Content-Type": media_type}
        answer = await self._application.send("POST", path, content=json.dumps(body).encode(), headers=headers)
        assert answer.status_code in (200, 202, 422), answer.text
        accepted: int = answer.json().get("accepted", 0)
        assert sum(len(report.samples) for report in self.wire.reports) == accepted
        return accepted


@cache
def door() -> Door:
    """One for all examples."""
    return Door()


def mostly(good: st.SearchStrategy[Any], odd: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """So that every other body is accepted, and the property says something."""
    return st.integers(0, 9).flatmap(lambda dice: odd if dice == 7 else good)


edges = st.sampled_from(
    [EARLIEST, EARLIEST - timedelta(seconds=1), NOW + FUTURE, NOW + MAX_AHEAD, NOW - timedelta(days=400)]
)
countable = st.datetimes(EARLIEST.replace(tzinfo=None), NOW.replace(tzinfo=None), timezones=st.just(UTC))
times = mostly(countable | edges, st.datetimes(timezones=st.timezones())).map(lambda moment: moment.isoformat())
texts = mostly(
    st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=40), st.text(max_size=140)
)
holds = st.none() | texts | texts.map(lambda text: f"{TENANT}:{text}") | st.text("h", min_size=85, max_size=95)
amounts = st.dictionaries(st.sampled_from(Meter), mostly(st.integers(0, 2**53), st.integers()), min_size=1)
samples = st.fixed_dictionaries(
    {"id": texts, "time": mostly(times, st.integers() | st.text(max_size=5)), "amounts": amounts},
    optional={"hold_id": holds},
)
behinds = st.timedeltas(timedelta(0), MAX_AHEAD - FUTURE)


def cloud_event(sample: Mapping[str, Any], source: str) -> dict[str, Any]:
    """The sample as a CloudEvent."""
    data = {name: value for name, value in sample.items() if name not in ("id", "time")}
    envelope = {"specversion": "1.0", "type": SAMPLE_TYPE, "source": source}
    return {**envelope, "id": sample["id"], "time": sample["time"], "data": data}


@settings(max_examples=200, deadline=None)
@given(st.lists(samples, min_size=1, max_size=3), texts, behinds)
async def test_whatever_is_accepted_is_counted(body: list[dict[str, Any]], source: str, behind: timedelta) -> None:
    plain = {"source": source, "samples": body}
    batch = [cloud_event(sample, source) for sample in body]
    for media_type, document in ((PLAIN, plain), (BATCH, batch)):
        if await door().takes("/usage", media_type, document, behind):
            event("accepted")
        for report in door().wire.reports:
            assert all(is_hold_of(TENANT, sample.hold_id) for sample in report.samples if sample.hold_id)


@settings(deadline=None)
@given(
    st.from_regex(HOLD_ID, fullmatch=True),
    times,
    st.dictionaries(st.sampled_from(Meter), st.integers(0, 2**53)),
    behinds,
)
async def test_whatever_a_commit_accepts_is_counted(
    hold_id: str, time: str, used: dict[Meter, int], behind: timedelta
) -> None:
    if await door().takes(f"/quota/holds/{hold_id}/commit", PLAIN, {"amounts": used, "time": time}, behind):
        event("accepted")
