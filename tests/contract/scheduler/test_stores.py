"""What every implementation of the scheduler's ports must do; the fakes are trusted because they pass this too."""

from __future__ import annotations

import asyncio

import pytest

from services.kit.clock import HeldClock
from services.kit.errors import LeaseLostError
from services.scheduler.domain.policies import policy_named
from services.scheduler.domain.pool.snapshot import Snapshot
from services.scheduler.entrypoints.owner import PoolOwner
from services.scheduler.ports import Pending, SetAside
from tests.contract.scheduler.conftest import Stores
from tests.contract.scheduler.driving import content, in_memory, load, run, told
from tests.fakes.scheduler.builders import (
    NOW,
    OTHER_TEAM,
    TEAM,
    cpu_only,
    entry,
    from_a_newer_release,
    gpus,
    identity,
    node,
    node_removed,
    release,
    requested,
    reserve,
    suspended,
    tenant,
    with_a_new_meaning,
)

LIFE = (
    node("n2", 2, "T4"),
    node("n1", 4, "A100"),
    node("n3", 1),
    node_removed("n3"),
    tenant(limit=50_000),
    tenant(OTHER_TEAM),
    suspended(OTHER_TEAM),
    requested("held", gpus(1, 300, "T4", "A100"), first=3),
    reserve("cpu", cpu_only(2000)),
    reserve("given back", gpus(2)),
    reserve("waits", gpus(4)),
    reserve("urgent", gpus(4), priority=900),
    reserve("waits too", gpus(4), replicas=1, priority=50),
    reserve("refused", gpus(8)),
    release("given back"),
    release("never asked"),
    reserve("gone before placed", gpus(4)),
    release("gone before placed"),
)


async def test_an_unknown_pool_is_empty(stores: Stores) -> None:
    snapshot = await load(stores)
    assert content(snapshot) == content(Snapshot("default", policy_named("default")))


async def test_inputs_come_back_as_they_were_in_order(stores: Stores) -> None:
    entries = await told(stores, *LIFE)
    async with stores.unit_of_work() as work:
        pending = await stores.pools.pending(work, "default", 100)
        few = await stores.pools.pending(work, "default", 3)
        rest = await stores.pools.pending(work, "default", 3, [pending[0].id, pending[2].id])
        assert await stores.pools.pending(work, "other", 100) == []
    assert [each.entry for each in pending if isinstance(each, Pending)] == entries
    assert few == pending[:3]
    assert rest == [pending[1], *pending[3:5]]
    assert [each.id for each in pending] == sorted(each.id for each in pending)


async def test_what_was_not_committed_is_not_there(stores: Stores) -> None:
    async def fail_after_append() -> None:
        async with stores.unit_of_work() as work:
            await stores.inputs.append(work, "default", entry(reserve("a")))
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fail_after_append()
    async with stores.unit_of_work() as work:
        assert await stores.pools.pending(work, "default", 100) == []


@pytest.mark.parametrize("batch_size", [1, 3, 200])
async def test_a_loaded_snapshot_is_the_one_that_was_saved(stores: Stores, batch_size: int) -> None:
    """Restart from the store alone: what is loaded is what the domain, fed with the same inputs, knows."""
    entries = await told(stores, *LIFE)
    await run(stores, batch_size)
    known = in_memory(entries)
    assert content(await load(stores)) == content(known)
    assert {identity("held"), identity("cpu"), identity("urgent")} == set(known.reservations)
    assert [waiting.reservation_id for waiting in known.queue] == [identity("waits"), identity("waits too")]


async def test_an_applied_input_is_not_pending(stores: Stores) -> None:
    await told(stores, *LIFE)
    await run(stores)
    async with stores.unit_of_work() as work:
        assert await stores.pools.pending(work, "default", 100) == []


async def test_what_ended_is_known_as_closed(stores: Stores) -> None:
    entries = await told(stores, *LIFE)
    await run(stores)
    async with stores.unit_of_work() as work:
        closed = await stores.pools.closed(work, "default", [*entries, entry(reserve("new"))])
        assert await stores.pools.closed(work, "default", [entry(node("n1"))]) == set()
    assert closed == {identity(name) for name in ("given back", "refused", "never asked", "gone before placed")}


async def test_what_ended_stays_ended_over_a_restart(stores: Stores) -> None:
    await told(stores, *LIFE)
    await run(stores)
    before = content(await load(stores))
    await told(stores, reserve("given back", gpus(1)), requested("never asked"), release("refused"))
    await run(stores)
    after = content(await load(stores))
    assert after.pop("reached") == (before["reached"][0] + 3, before.pop("reached")[1] + 1)
    assert after == before


async def test_pools_are_apart(stores: Stores) -> None:
    await told(stores, *LIFE)
    await told(stores, node("far", pool="other"), pool="other")
    await run(stores)
    await run(stores, pool="other")
    assert [each.name for each in (await load(stores, "other")).cluster.nodes] == ["far"]
    assert [each.name for each in (await load(stores)).cluster.nodes] == ["n2", "n1", "n3"]


async def test_a_reservation_belongs_to_the_pool_that_knew_it_first(stores: Stores) -> None:
    await told(stores, *LIFE)
    await run(stores)
    await told(stores, node("far"), tenant(), *LIFE[7:11], pool="other")
    await run(stores, pool="other")
    other = await load(stores, "other")
    assert (other.reservations, list(other.queue), other.decided) == ({}, [], 0)
    assert identity("held") in (await load(stores)).reservations


async def test_another_tenants_release_ends_nothing(stores: Stores) -> None:
    await told(stores, *LIFE)
    await run(stores)
    before = content(await load(stores))
    async with stores.unit_of_work() as work:
        for name in ("held", "waits"):
            await stores.inputs.append(work, "default", entry(release(name), OTHER_TEAM))
    await run(stores)
    after = content(await load(stores))
    assert after.pop("reached") == (before["reached"][0] + 2, before.pop("reached")[1] + 2)
    assert after == before


async def test_a_reservations_pool_is_found_by_its_tenant(stores: Stores) -> None:
    await told(stores, release("a"), pool="first")
    await told(stores, reserve("a"), pool="second")
    async with stores.unit_of_work() as work:
        assert await stores.inputs.pool_of(work, TEAM, identity("a")) == "second"
        assert await stores.inputs.pool_of(work, OTHER_TEAM, identity("a")) is None
        assert await stores.inputs.pool_of(work, TEAM, identity("b")) is None


async def test_a_request_of_the_same_transaction_is_found(stores: Stores) -> None:
    """A batch of messages is one transaction: the request and its release may both be in it."""
    async with stores.unit_of_work() as work:
        await stores.inputs.append(work, "second", entry(reserve("a")))
        await stores.inputs.append(work, "first", entry(release("b")))
        assert await stores.inputs.pool_of(work, TEAM, identity("a")) == "second"
        assert await stores.inputs.pool_of(work, OTHER_TEAM, identity("a")) is None
        assert await stores.inputs.pool_of(work, TEAM, identity("b")) is None


async def test_a_batch_for_several_pools_is_in_order_in_each(stores: Stores) -> None:
    entries = [entry(reserve(f"r{number}")) for number in range(30)]
    async with stores.unit_of_work() as work:
        for number, each in enumerate(entries):
            await stores.inputs.append(work, ("first", "second")[number % 2], each)
    async with stores.unit_of_work() as work:
        found = [await stores.pools.pending(work, pool, 100) for pool in ("first", "second")]
    assert [[each.entry for each in pending if isinstance(each, Pending)] for pending in found] == [
        entries[::2],
        entries[1::2],
    ]


async def test_what_changed_twice_in_a_batch_is_stored_as_it_is_now(stores: Stores) -> None:
    changes = (
        node("n1", 4),
        node("n2", 2),
        node("n1", 8),
        tenant(limit=1, waiting=1),
        tenant(limit=2, waiting=2**53),
        node("n2", 2, failed=(1,)),
    )
    entries = await told(stores, *changes)
    await run(stores)
    found = await load(stores)
    assert content(found) == content(in_memory(entries))
    assert [each.gpu_count for each in found.cluster.nodes] == [8, 2]
    assert (found.tenants[TEAM].max_gpu_milli, found.tenants[TEAM].max_waiting) == (2, 2**53)


async def test_what_cannot_be_read_comes_with_its_reason_in_its_place(stores: Stores) -> None:
    await told(stores, node("n1"), from_a_newer_release(), with_a_new_meaning(), reserve("a"))
    async with stores.unit_of_work() as work:
        pending = await stores.pools.pending(work, "default", 100)
    assert [type(each) for each in pending] == [Pending, SetAside, SetAside, Pending]
    unknown, odd = (each for each in pending if isinstance(each, SetAside))
    assert (unknown.tenant_id, unknown.error_type) == (TEAM, "unknown-type")
    assert "taxiway.placement.migrate.v1" in unknown.reason
    assert (odd.error_type, odd.reason.split(":")[0]) == ("schema", "schema")
    assert "/pool" in odd.reason


async def test_what_was_set_aside_is_not_pending(stores: Stores) -> None:
    await told(stores, node("n1"), from_a_newer_release(), reserve("a"))
    async with stores.unit_of_work() as work:
        first, *_ = before = await stores.pools.pending(work, "default", 100)
        assert isinstance(first, Pending)
        bad = SetAside(first.id, first.entry.tenant_id, first.entry.cause, "ValueError", "because")
        await stores.pools.set_aside(work, [bad, *(each for each in before if isinstance(each, SetAside))])
    async with stores.unit_of_work() as work:
        assert await stores.pools.pending(work, "default", 100) == before[2:]


async def test_an_old_owners_write_fails(stores: Stores) -> None:
    await told(stores, node("n1"), tenant())
    old = await run(stores)
    await told(stores, reserve("a"))
    owner = PoolOwner("default", policy_named("default"), stores, stores.pools, HeldClock(NOW), asyncio.Event())
    await stores.lease(old.name)
    with pytest.raises(LeaseLostError):
        await owner.tick(old)
    assert (await load(stores)).reservations == {}
