"""All that a pool knows is stored, beside nodes and whole reservations too: a new owner decides as the old one did."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from schemas.base import EventData
from schemas.placement import PlacementEvent, ReserveCapacity
from services.scheduler.domain.model import Victim
from services.scheduler.domain.nodes.cluster import Cluster
from services.scheduler.domain.nodes.shape import Shape
from services.scheduler.domain.policies.best_fit import BestFit
from services.scheduler.domain.policies.interface import Chooser, Policy
from services.scheduler.domain.policies.scoring import NormalisingChooser
from services.scheduler.domain.pool.snapshot import Snapshot
from tests.contract.scheduler.conftest import Stores
from tests.contract.scheduler.driving import content, in_memory, load, run, told
from tests.fakes.scheduler.builders import (
    OTHER_TEAM,
    TEAM,
    ask_what_if,
    cpu_only,
    gpus,
    identity,
    mig,
    node,
    node_removed,
    plan_changed,
    quota,
    release,
    reserve,
    tenant,
)


def gang(workers: int, count: int = 2) -> Any:
    """The demand of a replica of several pods."""
    return gpus(count).model_copy(update={"workers": workers})


LIVES: dict[str, tuple[EventData, ...]] = {
    "parts are given back": (
        node("n1", 8),
        node("n2", 8),
        tenant(),
        reserve("a", gpus(3), replicas=3),
        reserve("waits", gpus(8), replicas=2),
        release("a", 1),
        release("waits", 0),
    ),
    "some replicas are lost, others held": (
        node("n1", 4),
        node("n2", 2),
        tenant(),
        reserve("a", gpus(2), replicas=3),
        node("n1", 4, failed=(0,)),
    ),
    "others drain for a request": (
        node("n1", 4),
        tenant(),
        reserve("cheap", gpus(1), replicas=4, priority=10, preemptible=True),
        reserve("dear", gpus(2), priority=500),
        release("cheap", 3),
    ),
    "a start is promised": (
        node("n1", 4),
        tenant(),
        reserve("runs", gpus(3), expected_seconds=3600),
        reserve("large", gpus(4), priority=500, start_within_seconds=7200),
    ),
    "tenants have quotas and weights": (
        node("n1", 8),
        tenant(limit=8000, weight=3, quotas=(quota(2000, 3000, 1000), quota(1000, 0, None, "A100"))),
        tenant(OTHER_TEAM, weight=2),
        plan_changed(9000, OTHER_TEAM),
        reserve("a", gpus(2)),
    ),
    "as many wait as may": (
        node("n1", 1),
        tenant(waiting=2),
        tenant(OTHER_TEAM, waiting=0),
        *(reserve(f"r{number}") for number in range(4)),
        plan_changed(9000, waiting=1),
        release("r1"),
        reserve("refused"),
    ),
    "nodes are cordoned, broken and in zones": (
        node("n1", 4, zone="east", failed=(1, 3)),
        node("n2", 4, zone="west", cordoned=True),
        node("n3", 2, zone="west"),
        node_removed("n3"),
        tenant(),
        reserve("a", gpus(2)),
    ),
    "slices, gangs and elastic replicas": (
        node("n1", 8, "A100-SXM4-80GB"),
        node("n2", 4),
        tenant(),
        reserve("slices", mig("1g.10gb"), replicas=2),
        reserve("gang", gang(2), replicas=2),
        reserve("more", gpus(1), is_elastic=True, expected_seconds=60),
        reserve("cpu", cpu_only()),
    ),
    "somebody asks": (node("n1", 8), tenant(), reserve("a", gpus(2)), ask_what_if(gpus(8))),
}

KNOWN: dict[str, Callable[[Snapshot], bool]] = {
    "parts are given back": lambda found: (
        found.reservations[identity("a")].replicas == (0, 2) and [each.replicas for each in found.queue] == [(1,)]
    ),
    "some replicas are lost, others held": lambda found: (
        len(found.reservations[identity("a")].replicas) == 2
        and [(len(each.replicas), each.is_lost) for each in found.queue] == [(1, True)]
    ),
    "others drain for a request": lambda found: (
        found.claims[identity("dear")].victims == (Victim(identity("cheap"), (2,)),)
    ),
    "a start is promised": lambda found: found.claims[identity("large")].promised_at is not None,
    "tenants have quotas and weights": lambda found: len(found.tenants[TEAM].quotas) == 2,
    "as many wait as may": lambda found: (
        [found.tenants[each].max_waiting for each in (TEAM, OTHER_TEAM)] == [1, 0]
        and [each.reservation_id for each in found.queue] == [identity("r2")]
    ),
    "nodes are cordoned, broken and in zones": lambda found: found.cluster.present == 1,
    "slices, gangs and elastic replicas": lambda found: bool(
        found.cluster.device_slices.any() and found.drainable and found.timed
    ),
    "somebody asks": lambda found: found.applied == 4,
}
"""That each life leads to what it is told for."""


@pytest.mark.parametrize("life", LIVES)
@pytest.mark.parametrize("batch_size", [1, 2, 200])
async def test_a_loaded_pool_knows_what_one_in_memory_does(stores: Stores, life: str, batch_size: int) -> None:
    entries = await told(stores, *LIVES[life])
    await run(stores, batch_size)
    known = in_memory(entries)
    assert KNOWN[life](known)
    assert content(await load(stores)) == content(known)


@pytest.mark.parametrize("life", LIVES)
async def test_a_restart_after_each_input_changes_no_decision(stores: Stores, life: str) -> None:
    for number, message in enumerate(LIVES[life]):
        await told(stores, message)
        await run(stores)
        assert content(await load(stores))["reached"][0] == number + 1
    restarted = content(await load(stores))
    entries = await told(stores, *LIVES[life], pool="never asked")
    assert restarted == content(in_memory(entries))


async def test_a_claim_that_ended_is_gone(stores: Stores) -> None:
    await told(stores, *LIVES["others drain for a request"], *LIVES["a start is promised"][2:])
    await run(stores)
    assert (await load(stores)).claims
    await told(stores, release("dear"), release("large"), release("runs"))
    await run(stores)
    assert (await load(stores)).claims == {}


class Recalling(NormalisingChooser):
    """With every third request it remembers how many it has seen."""

    def __init__(self, cluster: Cluster, rule: Any, memory: str) -> None:
        super().__init__(cluster, rule)
        self.memory = memory
        self.seen = 0

    def saw(self, shape: Shape, pods: int = 1) -> None:
        self.seen += 1
        if self.seen == 3:
            self.seen, self.memory = 0, str(int(self.memory or "0") + 3)


class Remembering(BestFit):
    """A policy with a memory."""

    name = "remembering"

    def chooser(self, cluster: Cluster, memory: str = "") -> Chooser:
        return Recalling(cluster, self, memory)


ASKS: tuple[EventData, ...] = (
    node("n1", 8),
    tenant(),
    *(reserve(f"a{number}", gpus(1, 100 + number)) for number in range(4)),
    reserve("refused", gpus(8, 1000, "none such")),
    release("a1"),
    reserve("gang", gang(2, 1), replicas=2),
)


def shapes(snapshot: Snapshot) -> tuple[Any, ...]:
    chooser = snapshot.chooser
    assert isinstance(chooser, Recalling)
    return chooser.memory, chooser.seen, snapshot.memory_at


@pytest.mark.parametrize("count", range(1, len(ASKS) + 1))
async def test_a_policy_remembers_over_a_restart(stores: Stores, count: int) -> None:
    """As it changed last, and the requests since: also those that have ended by now, none that was refused."""
    policy: Policy = Remembering()
    entries = await told(stores, *ASKS[:count])
    await run(stores, 2, policy=policy)
    assert shapes(await load(stores, policy=policy)) == shapes(in_memory(entries, policy))


async def test_what_is_never_placed_is_a_request_of_the_past_too(stores: Stores) -> None:
    policy: Policy = Remembering()
    entries = await told(stores, node("n1", 1), tenant(), reserve("a"), reserve("waits"), release("waits"))
    await run(stores, 1, policy=policy)
    assert shapes(await load(stores, policy=policy)) == shapes(in_memory(entries, policy)) == ("", 2, 0)


async def test_another_policys_memory_is_not_read_but_learned_anew(stores: Stores) -> None:
    """The operator set another policy, or a release changed this one: the requests are there still."""

    class Newer(Remembering):
        version = "3"

    policy: Policy = Newer()
    entries = await told(stores, node("n1", 8), tenant(), *(reserve(f"a{number}", gpus(1, 100)) for number in range(5)))
    await run(stores, 1, policy=Remembering())
    loaded = await load(stores, policy=policy)
    assert shapes(loaded) == shapes(in_memory(entries, Remembering())) == ("3", 2, 5)
    await told(stores, reserve("one more"))
    await run(stores, 1, policy=policy)
    assert shapes(await load(stores, policy=policy)) == ("6", 0, 8), "and what it has learned is stored as its own"


def test_lives_are_told_whole() -> None:
    assert set(KNOWN) == set(LIVES)
    kinds = {type(each) for life in LIVES.values() for each in life}
    assert ReserveCapacity in kinds
    assert not any(issubclass(kind, PlacementEvent) for kind in kinds)
