"""Reading the published lists, and what a seed makes of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.placement.arrivals import run_of
from bench.placement.trace import Pod, read_nodes, read_pods, trace_name
from services.scheduler.domain.model import Node
from services.scheduler.domain.nodes.shape import Shape
from tests.unit.bench.placement.lists import DEFAULT, FURTHER, NODES, pod_list

HEADER = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec"


def test_the_published_cluster() -> None:
    nodes = read_nodes(NODES)
    assert (len(nodes), sum(node.gpu_count for node in nodes)) == (1213, 6212)


@pytest.mark.parametrize(
    ("trace", "pods", "milli"),
    [("default", 8152, 6_086_800), ("cpu250", 9420, 6_086_800), ("multigpu50", 9061, 11_358_800)],
)
def test_the_published_lists(trace: str, pods: int, milli: int) -> None:
    found = read_pods(pod_list(trace))
    assert (len(found), sum(pod.shape.total_gpu_milli for pod in found)) == (pods, milli)


def test_twelve_further_lists_are_here_under_their_names() -> None:
    assert len(FURTHER) == 12
    assert {trace_name(path) for path in [DEFAULT, *FURTHER]} >= {"default", "cpu250", "gpuspec25", "multigpu50"}


def test_a_row_becomes_a_shape(tmp_path: Path) -> None:
    list_ = tmp_path / "pods.csv"
    list_.write_text(f"{HEADER}\nb,3152,5600,1,810,V100M32|A10\na,8000,30517,0,,\n")
    assert read_pods(list_) == [
        Pod("a", Shape(8000, 30517, 0, 0)),
        Pod("b", Shape(3152, 5600, 1, 810, ("A10", "V100M32"))),
    ]


def test_what_is_no_list_is_said_to_be_none(tmp_path: Path) -> None:
    (tmp_path / "pods.csv").write_text("name,cpu_milli\na,1\n")
    with pytest.raises(ValueError, match="lacks the columns gpu_milli, memory_mib, num_gpu"):
        read_pods(tmp_path / "pods.csv")
    with pytest.raises(ValueError, match="lacks the columns"):
        read_nodes(DEFAULT)


def small() -> tuple[list[Node], list[Pod]]:
    nodes = [Node(f"n{number}", 64_000, 262_144, 8, "T4") for number in range(5)]
    return nodes, [Pod(f"p{number}", Shape(1000 + number, 1024, 1, 400)) for number in range(50)]


def test_arrivals_are_the_list_shuffled_and_then_copies_up_to_the_overload() -> None:
    nodes, pods = small()
    run = run_of(nodes, pods, 42)
    assert sorted(run.arrivals[:50]) == [pod.shape for pod in pods]
    assert run.arrivals[:50] != [pod.shape for pod in pods]
    assert sum(shape.total_gpu_milli for shape in run.arrivals) == 52_000  # 1.3 · 40,000
    assert run.gpu_milli == 40_000


def test_a_list_that_asks_for_more_loses_pods_until_it_does_not() -> None:
    nodes, pods = small()
    run = run_of(nodes[:1], pods, 42)
    assert len(run.arrivals) == 26  # 10,400 / 400
    assert set(run.arrivals) <= {pod.shape for pod in pods}


def test_the_seed_decides_everything_and_the_order_of_the_files_nothing() -> None:
    nodes, pods = small()
    assert run_of(nodes, pods, 42) == run_of(nodes[::-1], pods[::-1], 42)
    assert run_of(nodes, pods, 42).nodes != run_of(nodes, pods, 43).nodes
    assert run_of(nodes, pods, 42).arrivals != run_of(nodes, pods, 43).arrivals
