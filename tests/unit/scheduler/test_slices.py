"""MIG slices: where NVIDIA lets them start, and where they go."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from schemas.mig import KIND_OF_MODEL, PROFILES, MigProfile
from schemas.placement import QueueReason
from services.scheduler.domain.decision import Placed, Queued, Rejected
from services.scheduler.domain.placing.slices import MASKS, starts
from tests.fakes.scheduler.builders import gpus, identity, mig, node, release, reserve, tenant
from tests.fakes.scheduler.pool import Pool, placed

NVIDIA = {
    "1g.{}gb": ((0, 1, 2, 3, 4, 5, 6), 1),
    "1g.{2}gb": ((0, 2, 4, 6), 2),
    "2g.{2}gb": ((0, 2, 4), 2),
    "3g.{4}gb": ((0, 4), 4),
    "4g.{4}gb": ((0,), 4),
    "7g.{8}gb": ((0,), 8),
}
"""Placements as `nvidia-smi mig -lgipp` lists them, by the memory of one of 8 slices; the profiles with media
extensions (`+me`), of which a GPU has one, are left out on purpose."""
EVERY = [(kind, profile) for kind, profiles in PROFILES.items() for profile in profiles]
MODELS = {"A100-40": "A100-SXM4-40GB", "A100-80": "NVIDIA-A100-SXM4-80GB", "H100-80": "NVIDIA-H100-80GB-HBM3"}


@pytest.mark.parametrize(("kind", "unit"), [("A100-40", 5), ("A100-80", 10), ("H100-80", 10)])
def test_the_table_is_nvidias(kind: str, unit: int) -> None:
    names = [
        f"1g.{unit}gb",
        f"1g.{2 * unit}gb",
        f"2g.{2 * unit}gb",
        f"3g.{4 * unit}gb",
        f"4g.{4 * unit}gb",
        f"7g.{8 * unit}gb",
    ]
    assert {each.name: (each.starts, each.size) for each in PROFILES[kind]} == dict(
        zip(names, NVIDIA.values(), strict=True)
    )


@pytest.mark.parametrize(("kind", "profile"), EVERY, ids=lambda each: getattr(each, "name", each))
def test_every_legal_start_is_used_and_no_other(kind: str, profile: MigProfile) -> None:
    best, _ = starts(kind, profile.name)
    for start in profile.starts:
        assert best[(MASKS - 1) & ~profile.mask(start)] == start, "the only place that is left"
    for occupied in range(MASKS):
        start = int(best[occupied])
        if start < 0:
            assert all(occupied & profile.mask(each) for each in profile.starts)
        else:
            assert start in profile.starts
            assert occupied & profile.mask(start) == 0


@pytest.mark.parametrize("kind", PROFILES)
def test_no_set_of_slices_counts_more_than_one_gpu(kind: str) -> None:
    for chosen in _layouts(PROFILES[kind], 0, 0):
        assert sum(each.gpu_milli for each in chosen) <= 1000
        assert sum(each.compute for each in chosen) <= 7


def _layouts(profiles: tuple[MigProfile, ...], occupied: int, first: int) -> Iterator[list[MigProfile]]:
    """All sets of slices of one GPU, each once: by ascending start."""
    yield []
    for profile in profiles:
        for start in profile.starts:
            if start >= first and occupied & profile.mask(start) == 0:
                for rest in _layouts(profiles, occupied | profile.mask(start), start + 1):
                    yield [profile, *rest]


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize(
    "layout",
    [
        ["1g"] * 7,
        ["3g", "3g"],
        ["4g", "3g"],
        ["3g", "4g"],
        ["2g", "2g", "2g", "1g"],
        ["7g"],
        ["4g", "2g", "1g"],
        ["1g", "4g", "2g"],
    ],
    ids="+".join,
)
def test_a_device_takes_what_nvidia_allows(kind: str, layout: list[str]) -> None:
    pool = Pool(node("n1", 1, MODELS[kind]), tenant())
    named = {profile.name.split(".")[0]: profile.name for profile in reversed(PROFILES[kind])}
    for number, size in enumerate(layout):
        assert isinstance(pool.decision(reserve(f"s{number}", mig(named[size]))), Placed), size
    slices = [pool.held(f"s{number}")[0] for number in range(len(layout))]
    masks = [next(p for p in PROFILES[kind] if p.name == each.mig_profile).mask(each.mig_start or 0) for each in slices]
    assert sum(masks) == _union(masks)
    assert isinstance(pool.decision(reserve("whole", gpus(1, 1))), Queued)


def _union(masks: list[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union


def test_an_eighth_of_the_smallest_waits() -> None:
    pool = Pool(node("n1", 1, "A100-80"), tenant(), *(reserve(f"s{number}", mig("1g.10gb")) for number in range(7)))
    decision = pool.decision(reserve("s7", mig("1g.10gb")))
    assert isinstance(decision, Queued)
    assert placed(pool.when(release("s3"))) == [identity("s7")]


def test_a_device_is_cut_once_and_whole_again_after_its_last_slice() -> None:
    pool = Pool(node("n1", 2, "A100-80"), tenant(), reserve("a", mig("1g.10gb")), reserve("b", mig("2g.20gb")))
    assert pool.held("a")[0].devices == pool.held("b")[0].devices
    assert isinstance(pool.decision(reserve("both", gpus(2))), Queued)
    assert placed(pool.when(release("a"))) == []
    assert placed(pool.when(release("b"))) == [identity("both")]


def test_slices_and_other_uses_never_share_a_device() -> None:
    pool = Pool(node("n1", 2, "A100-80"), tenant(), reserve("share", gpus(1, 100)), reserve("slice", mig("1g.10gb")))
    assert pool.held("share")[0].devices != pool.held("slice")[0].devices
    assert isinstance(pool.decision(reserve("another share", gpus(1, 900))), Placed)
    assert pool.held("another share")[0].devices == pool.held("share")[0].devices
    for number in range(6):
        assert isinstance(pool.decision(reserve(f"s{number}", mig("1g.10gb"))), Placed)
    assert isinstance(pool.decision(reserve("no room", mig("1g.10gb"))), Queued)
    assert isinstance(pool.decision(reserve("nor here", gpus(1, 100))), Queued)


def test_a_device_in_shared_use_is_not_cut() -> None:
    pool = Pool(node("n1", 1, "A100-80"), tenant(), reserve("share", gpus(1, 1)))
    assert isinstance(pool.decision(reserve("slice", mig("1g.10gb"))), Queued)
    assert placed(pool.when(release("share"))) == [identity("slice")]


@pytest.mark.parametrize("small", ["1g.10gb", "1g.20gb", "2g.20gb"])
def test_the_small_leave_the_large_their_place(small: str) -> None:
    """On two cut devices: what is small goes where it costs no `3g`, and no third device is cut for it."""
    pool = Pool(node("n1", 3, "A100-80"), tenant(), reserve("a", mig("3g.40gb")), reserve("b", mig("1g.10gb")))
    assert pool.held("a")[0].devices == pool.held("b")[0].devices
    for number in range(2):
        pool.when(reserve(f"large {number}", mig("3g.40gb")))
    pool.when(reserve("small", mig(small)))
    used = {pool.held(name)[0].devices for name in ("a", "b", "large 0", "large 1", "small")}
    assert len(used) == 2
    assert isinstance(pool.decision(reserve("whole")), Placed)


def test_what_is_kept_whole_is_not_cut_and_what_drains_for_a_slice_is_not_shared() -> None:
    low: dict[str, Any] = {"priority": 0, "preemptible": True}
    pool = Pool(node("n1", 1, "A100-80"), tenant(), reserve("slice", mig("1g.10gb"), **low))
    pool.when(reserve("whole", priority=500))
    assert isinstance(pool.decision(reserve("another slice", mig("1g.10gb"), priority=1)), Queued)
    pool = Pool(node("n1", 1, "A100-80"), tenant(), reserve("share", gpus(1, 100), **low))
    pool.when(reserve("slice", mig("1g.10gb"), priority=500))
    for demand in (gpus(1, 100), mig("1g.10gb")):
        assert isinstance(pool.decision(reserve(f"{demand}", demand, priority=1)), Queued)
    assert placed(pool.when(release("share")))[0] == identity("slice")


def test_a_profile_that_no_model_has_is_refused() -> None:
    decision = Pool(node("n1", 2, "T4"), node("n2", 2, "A100-40"), tenant()).decision(reserve("s", mig("1g.20gb")))
    assert isinstance(decision, Rejected)
    assert decision.reason is QueueReason.MODEL_UNAVAILABLE
    assert "GPUs that can be cut to 1g.20gb" in decision.detail


@pytest.mark.parametrize(
    ("models", "most"), [(["A100-80"], 7), (["A100-40"], 4), (["A100-40", "H100"], 11), (["T4", "A100-40"], 4)]
)
def test_a_pool_holds_as_many_slices_as_its_models_can_be_cut_to(models: list[str], most: int) -> None:
    """The same name means another part of a GPU of another size."""
    nodes = [node(f"n{number}", 1, model) for number, model in enumerate(models)]
    decision = Pool(*nodes, tenant()).decision(reserve("s", mig("1g.10gb"), replicas=most + 1))
    assert isinstance(decision, Rejected)
    assert decision.reason is QueueReason.TOO_LARGE_FOR_POOL
    assert isinstance(Pool(*nodes, tenant()).decision(reserve("s", mig("1g.10gb"), replicas=most)), Placed)


def test_a_slice_of_named_models_goes_to_one_of_them() -> None:
    pool = Pool(node("n1", 1, "A100-80"), node("n2", 1, "H100"), tenant(), reserve("s", mig("1g.10gb", "H100")))
    assert pool.held("s")[0].node == "n2"


def test_a_broken_device_is_not_cut_and_its_slices_are_lost() -> None:
    pool = Pool(node("n1", 2, "A100-80"), tenant(), reserve("s", mig("1g.10gb")))
    device = pool.held("s")[0].devices[0]
    pool.when(node("n1", 2, "A100-80", failed=(device,)))
    assert pool.held("s")[0].devices == (1 - device,)


def test_a_node_with_another_model_takes_no_slices_of_the_old_one_along() -> None:
    pool = Pool(node("n1", 1, "A100-80"), node("n2", 1, "A100-80"), tenant(), reserve("s", mig("3g.40gb")))
    where = pool.held("s")[0].node
    pool.when(node(where, 1, "T4"))
    assert pool.held("s")[0].node != where
    assert (pool.snapshot.cluster.device_slices != 0).sum() == 1


def test_models_have_one_kind() -> None:
    assert set(KIND_OF_MODEL.values()) == set(PROFILES)
