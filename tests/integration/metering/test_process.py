"""The process on real Kafka, Postgres and Redis: exact through duplicates, bad records and a SIGKILL."""

from __future__ import annotations

import asyncio
import json
import random
from datetime import timedelta
from uuid import UUID, uuid4

from schemas.envelope import Event, encode
from schemas.signing import sign
from schemas.tenant import Window
from schemas.usage import UsageReported, UsageSample
from tests.integration.metering.harness import (
    NOON,
    Metering,
    Signer,
    batch,
    forget_quota,
    gateway,
    sample,
    tenant_with_limit,
)

BATCH = 50
SAMPLES = 1500
"""Of each tenant; one in twenty is sent again in a later record."""


def with_duplicates(tenant_id: UUID, seed: int) -> list[UsageReported]:
    """SAMPLES samples in batches, with 5 % of them again in a record further on."""
    choose = random.Random(seed)
    sent = [sample(number, tokens=number % 17) for number in range(SAMPLES)]
    batches: list[list[UsageSample]] = [sent[first : first + BATCH] for first in range(0, SAMPLES, BATCH)]
    for again in choose.sample(sent, SAMPLES // 20):
        home = next(number for number, samples in enumerate(batches) if again in samples)
        later = choose.randrange(home + 1, len(batches) + 5)
        while later >= len(batches):
            batches.append([])
        if again not in batches[later]:
            batches[later].append(again)
    return [batch(tenant_id, samples) for samples in batches if samples]


def expected(batches: list[UsageReported]) -> dict[str, int]:
    """What must be counted: each id once, the rest as duplicates."""
    once = {found.id: found for report in batches for found in report.samples}
    totals = {"duplicates": sum(len(report.samples) for report in batches) - len(once)}
    for found in once.values():
        for meter, amount in found.amounts.items():
            totals[meter.value] = totals.get(meter.value, 0) + amount
    return totals


def await_counted(metering: Metering, tenant_id: UUID, sent: list[UsageReported]) -> None:
    """Wait for the last record, in the ledger and in Redis, and see that they agree in both windows."""
    totals = expected(sent)
    metering.wait(lambda: metering.totals(tenant_id) == totals, f"{tenant_id}: {totals} are not counted")
    metering.wait(lambda: metering.settled(tenant_id) == totals, f"{tenant_id}: {totals} are not settled")
    assert metering.totals(tenant_id, Window.MONTH) == totals
    assert metering.settled(tenant_id, Window.MONTH) == totals


def test_counts_every_sample_once(metering: Metering) -> None:
    """given two tenants and duplicates; when one reports itself and a gateway for the other; then totals are exact."""
    own, other = uuid4(), uuid4()
    signer, platform = Signer(own), gateway()
    reports = {own: with_duplicates(own, 1), other: with_duplicates(other, 2)}
    metering.register(signer, platform)
    metering.report(signer, *reports[own])
    metering.report(platform, *reports[other])

    with metering.running():
        for tenant_id, sent in reports.items():
            assert expected(sent)["duplicates"] == SAMPLES // 20
            await_counted(metering, tenant_id, sent)


def test_is_exact_after_being_killed_midway(metering: Metering) -> None:
    """given records on their way; when the process is killed twice at different points; then totals are exact."""
    tenant_id, platform = uuid4(), gateway()
    sent = with_duplicates(tenant_id, 3)
    metering.register(platform)
    metering.report(platform, *sent)

    for reached in (SAMPLES // 5, SAMPLES // 2):
        process = metering.start()
        await_samples(metering, tenant_id, reached)
        process.kill()
        process.wait()
        assert metering.samples(tenant_id) < SAMPLES, "it was killed too late to show anything"
    with metering.running():
        await_counted(metering, tenant_id, sent)


def test_sets_bad_records_aside_and_goes_on(metering: Metering) -> None:
    """given records that must not be counted; when a good one follows; then it is counted, and they are kept."""
    tenant_id, stranger = uuid4(), Signer(uuid4())
    signer = Signer(tenant_id)
    metering.register(signer, stranger)
    good = batch(tenant_id, [sample(1)])
    value, headers = encode(Event(id="bad", source="/gateway", time=NOON, data=good))
    key = str(tenant_id).encode()
    metering.send_raw(key, value, headers)
    metering.send_raw(key, value + b" ", sign(headers, value, signer.key, signer.key_id))
    metering.send_raw(key, b"{", sign(headers, b"{", signer.key, signer.key_id))
    metering.send_raw(key, b"x" * 300_000, headers)
    metering.report(stranger, good)
    metering.report(Signer(tenant_id), good)
    metering.report(signer, batch(tenant_id, [sample(1, at=NOON + timedelta(days=4000))]))
    negative = value.replace(b'"api_calls":1', b'"api_calls":-1')
    metering.send_raw(key, negative, sign(headers, negative, signer.key, signer.key_id))
    unknown = [(name, b"taxiway.usage.guessed.v1" if name == "ce_type" else text) for name, text in headers]
    metering.send_raw(key, value, sign(unknown, value, signer.key, signer.key_id))
    nameless = [(name, text) for name, text in headers if name != "ce_id"]
    metering.send_raw(key, value, sign(nameless, value, signer.key, signer.key_id))
    metering.report(signer, good)

    with metering.running():
        metering.wait(lambda: metering.totals(tenant_id).get("api_calls") == 1, "the good record is not counted")

    assert metering.dead_letters(tenant_id) == [
        "signature",
        "signature",
        "schema",
        "too-large",
        "foreign-tenant",
        "signature",
        "sample-time",
        "schema",
        "unknown-type",
        "envelope",
    ]
    assert metering.samples(tenant_id) == 1


def test_says_once_that_a_limit_is_passed(metering: Metering) -> None:
    """given a limit of 10 calls; when 8, 2 and 6 come, with a restart between; then each threshold is told once."""
    tenant_id, platform = uuid4(), gateway()
    metering.say(tenant_with_limit(tenant_id, 10))
    metering.register(platform)

    for numbers in (range(8), range(8, 10), range(10, 16)):
        with metering.running():
            metering.wait(lambda: has_limit(metering, tenant_id), "the limit is not known")
            metering.report(platform, batch(tenant_id, [sample(number) for number in numbers]))
            await_calls(metering, tenant_id, numbers.stop)

    said = [(kind, json.loads(data)) for kind, data in metering.quota_events(tenant_id)]
    assert [(kind, data.get("percent"), data["settled"]) for kind, data in said] == [
        ("taxiway.quota.threshold-reached.v1", 75, 8),
        ("taxiway.quota.threshold-reached.v1", 90, 10),
        ("taxiway.quota.threshold-reached.v1", 100, 10),
        ("taxiway.quota.exceeded.v1", None, 16),
    ]


def test_rebuilds_a_lost_quota_data_set(metering: Metering) -> None:
    """given counted usage; when Redis loses its data; then it is filled from the ledger and counting goes on."""
    tenant_id, platform = uuid4(), gateway()
    metering.register(platform)
    metering.report(platform, batch(tenant_id, [sample(1), sample(2)]))

    with metering.running():
        await_calls(metering, tenant_id, 2)
        asyncio.run(forget_quota(metering.redis_url))
        metering.wait(lambda: metering.settled(tenant_id).get("api_calls") == 2, "what was lost is not back")
        metering.report(platform, batch(tenant_id, [sample(3)]))
        await_calls(metering, tenant_id, 3)
        metering.wait(lambda: metering.settled(tenant_id).get("api_calls") == 3, "settling does not go on")


def await_calls(metering: Metering, tenant_id: UUID, number: int) -> None:
    metering.wait(lambda: metering.totals(tenant_id).get("api_calls") == number, f"{number} calls are not counted")


def await_samples(metering: Metering, tenant_id: UUID, number: int) -> None:
    metering.wait(lambda: metering.samples(tenant_id) >= number, f"{number} samples are not there")


def has_limit(metering: Metering, tenant_id: UUID) -> bool:
    return bool(metering.fetch("SELECT 1 FROM plan_limit WHERE tenant_id = $1", tenant_id))
