"""Fair shares: who goes first when all want everything."""

from __future__ import annotations

from collections import Counter

import pytest

from schemas.resources import Resources
from schemas.tenant import GpuQuota
from services.scheduler.domain.pool.shares import SCALE
from tests.fakes.scheduler.builders import OTHER_TEAM, TEAM, cpu_only, gpus, node, quota, release, reserve, tenant
from tests.fakes.scheduler.pool import Pool

THIRD_TEAM = TEAM.__class__("01900000-0000-7000-8000-00000000000c")


def contend(pool: Pool, demands: dict[str, Resources], number: int, *nodes: object) -> Counter[object]:
    """Tenants ask for everything, one after another, then the nodes come; GPUs (or pods without) that each got."""
    teams = {"mine": TEAM, "theirs": OTHER_TEAM, "others": THIRD_TEAM}
    for each in range(number):
        for name, resources in demands.items():
            pool.when(reserve(f"{name}-{each}", resources), teams[name])
    for data in nodes:
        pool.when(data)  # type: ignore[arg-type]
    got: Counter[object] = Counter()
    for held in pool.snapshot.reservations.values():
        name = next(name for name, tenant_id in teams.items() if tenant_id == held.request.tenant_id)
        got[name] += held.gpu_milli // 1000 or len(held.replicas)
    return got


def hundred() -> list[object]:
    return [node(f"n{number}", 4) for number in range(25)]


TABLE = [
    (10, (3, 1), {"mine": 70, "theirs": 30}),
    (10, (1, 1), {"mine": 50, "theirs": 50}),
    (0, (3, 1), {"mine": 75, "theirs": 25}),
    (0, (9, 1), {"mine": 90, "theirs": 10}),
]


@pytest.mark.parametrize(("guaranteed", "weights", "expected"), TABLE)
def test_what_is_nobodys_guarantee_is_divided_by_weight(
    guaranteed: int, weights: tuple[int, int], expected: dict[str, int]
) -> None:
    quotas = (quota(guaranteed * 1000),) if guaranteed else ()
    mine, theirs = (tenant(team, weight=w, quotas=quotas) for team, w in zip((TEAM, OTHER_TEAM), weights, strict=True))
    assert contend(Pool(mine, theirs), {"mine": gpus(), "theirs": gpus()}, 100, *hundred()) == expected


@pytest.mark.parametrize("model", ["", "A100"])
def test_a_guarantee_holds_for_all_models_or_for_one(model: str) -> None:
    quotas = (quota(10_000, model=model),)
    pool = Pool(tenant(TEAM, weight=3, quotas=quotas), tenant(OTHER_TEAM, quotas=quotas))
    demands = {"mine": gpus(1, 1000, "A100"), "theirs": gpus()}
    assert contend(pool, demands, 100, *hundred()) == {"mine": 70, "theirs": 30}


def test_who_is_within_its_guarantee_goes_before_who_borrows_whatever_the_priority() -> None:
    pool = Pool(node("n", 8), tenant(TEAM, quotas=(quota(4000),)), tenant(OTHER_TEAM, quotas=(quota(1000),)))
    pool.when(reserve("full", gpus(8)), OTHER_TEAM)
    for number in range(8):
        pool.when(reserve(f"theirs-{number}", priority=1000), OTHER_TEAM)
    for number in range(8):
        pool.when(reserve(f"mine-{number}", priority=0))
    pool.when(release("full"), OTHER_TEAM)
    shares = pool.snapshot.shares
    assert (shares.gpu_milli(TEAM), shares.gpu_milli(OTHER_TEAM)) == (5000, 3000)


def test_the_resource_that_a_tenant_takes_most_of_decides() -> None:
    """The example of the paper (Ghodsi et al., NSDI '11, 4.1), with GPUs for memory: 9 cores and 18 GPUs; tasks of
    <1 core, 4 GPUs> and of <3 cores, 1 GPU> get 3 and 2."""
    nodes = [node("n", 18, cpu=9000, memory=10**6)]
    demands = {"mine": gpus(4, cpu=1000, memory=0), "theirs": gpus(1, cpu=3000, memory=0)}
    got = contend(Pool(tenant(TEAM), tenant(OTHER_TEAM)), demands, 9, *nodes)
    assert got == {"mine": 12, "theirs": 2}


def test_a_scarce_model_is_a_resource_of_its_own() -> None:
    pool = Pool(node("h", 4, "H100"), node("a", 60, "A100", cpu=10**6, memory=10**6), tenant(), tenant(OTHER_TEAM))
    pool.when(reserve("h", gpus(1, 1000, "H100"), replicas=2))
    assert pool.snapshot.shares.share(pool.snapshot.tenant(TEAM), {}) == SCALE // 2


def test_tenants_without_gpu_share_the_cpu() -> None:
    demands = {"mine": cpu_only(1000, 0), "theirs": cpu_only(2000, 0)}
    got = contend(Pool(tenant(TEAM), tenant(OTHER_TEAM)), demands, 30, node("n", 0, cpu=36_000))
    assert got == {"mine": 18, "theirs": 9}


def test_whose_turn_it_is_depends_on_no_order_of_storage() -> None:
    quotas: tuple[GpuQuota, ...] = (quota(2000, model="A100"), quota(1000, model="T4"))
    pools = [Pool(*(tenant(team, quotas=quotas) for team in (THIRD_TEAM, TEAM, OTHER_TEAM))) for _ in range(2)]
    for pool in pools:
        for number in range(27):
            model, team = ("A100", "T4")[number % 2], (TEAM, OTHER_TEAM, THIRD_TEAM)[number % 3]
            pool.when(reserve(f"r{number}", gpus(1, 1000, model), priority=number % 5), team)
    pools[1].restart()
    assert pools[0].waiting() == pools[1].waiting()
    for data in (node("n1", 5, "A100"), node("n2", 5, "T4"), node("n3", 3, "A100")):
        assert pools[0].when(data) == pools[1].when(data)
