"""The command: its JSON, its options, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bench.placement.__main__ import main, repeated, seeds_of
from services.scheduler.domain.model import Node

NODES = "sn,cpu_milli,memory_mib,gpu,model\n" + "".join(f"n{number},64000,262144,8,T4\n" for number in range(20))
PODS = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec\n" + "".join(
    f"p{number},4000,8192,1,{(250, 500, 1000)[number % 3]},\n" for number in range(180)
)


@pytest.fixture
def lists(tmp_path: Path) -> list[str]:
    (tmp_path / "nodes.csv").write_text(NODES)
    (tmp_path / "openb_pod_list_small.csv").write_text(PODS)
    return ["--nodes", str(tmp_path / "nodes.csv"), "--pods", str(tmp_path / "openb_pod_list_small.csv")]


def told(capsys: pytest.CaptureFixture[str], arguments: list[str]) -> dict[str, Any]:
    assert main([*arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert isinstance(found, dict)
    return found


def test_the_last_line_is_one_json_object(lists: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, [*lists, "--policy", "default", "--seeds", "42-43"])
    assert (found["policy"], found["trace"], found["seeds"]) == ("residual_value", "small", [42, 43])
    assert (found["distribution"], found["nodes"]) == ("small", 20)
    columns = {"90", "95", "100", "130"}
    assert set(found["allocation_pct"]) == set(found["sd"]) == columns
    assert {seed: set(row) for seed, row in found["per_seed"].items()} == {"42": columns, "43": columns}
    for column, mean in found["allocation_pct"].items():
        assert mean == pytest.approx(sum(row[column] for row in found["per_seed"].values()) / 2, abs=0.001)
        assert 0 < mean <= 100
    assert found["unallocated_gpus"] >= 0
    assert found["decisions_per_second"] > 0
    assert found["compile_seconds"] >= 0
    assert "baseline" not in found


def test_the_same_command_gives_the_same_figures(lists: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    one, other = (told(capsys, [*lists, "--policy", "random", "--seeds", "7,9"]) for _ in range(2))
    assert one["per_seed"] == other["per_seed"]
    assert one["distribution"] == "none"


def test_plain_numpy_is_timed_beside_it(lists: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, [*lists, "--policy", "best_fit", "--seeds", "42", "--baseline", "numpy-fgd"])
    rate, ratio = found["baseline"]["numpy_fgd_per_second"], found["baseline"]["ratio"]
    assert ratio == pytest.approx(found["decisions_per_second"] / rate, rel=0.05)


@pytest.mark.parametrize("policy", ["fgd", "default"])
def test_it_can_learn_from_the_last_pods_or_expect_another_list(
    policy: str, lists: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "other.csv").write_text(PODS.replace(",250,", ",900,"))
    base = [*lists, "--policy", policy, "--seeds", "42", "--distribution"]
    assert told(capsys, [*base, "last:100"])["distribution"] == "last:100"
    assert told(capsys, [*base, str(tmp_path / "other.csv")])["distribution"] == "other at first"


def test_nodes_can_be_made_up(lists: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, [*lists, "--policy", "best_fit", "--seeds", "42", "--synthetic-nodes", "33"])["nodes"] == 33
    names = {node.name for node in repeated([Node("a", 1, 1, 1, "T4"), Node("b", 1, 1, 2, "T4")], 5)}
    assert len(names) == 5


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--policy", "nope"], "'nope' is not known"),
        (["--distribution", "last:0"], "at least one pod"),
        (["--distribution", "last:x"], "invalid literal"),
        (["--distribution", "no/such/file"], "No such file"),
    ],
)
def test_what_cannot_be_run_is_refused(
    arguments: list[str], complaint: str, lists: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*lists, *arguments]) == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("text", ["", "x", "51-42", "1-"])
def test_seeds_that_are_none(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - argparse tells the user
        seeds_of(text)
    assert seeds_of("42-44") == seeds_of("42,43,44") == [42, 43, 44]
