"""`python -m bench.placement --nodes FILE --pods FILE --policy NAME [--seeds 42-51] [--json]`; see bench/README.md."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections import Counter
from dataclasses import replace
from pathlib import Path

from bench.placement.arrivals import Run, run_of
from bench.placement.columns import COLUMNS
from bench.placement.expectation import Expectation, expectation
from bench.placement.experiment import Outcome, run_policy
from bench.placement.plain_fgd import plain_fgd_rate
from bench.placement.report import Report
from bench.placement.trace import Pod, read_nodes, read_pods, trace_name
from services.scheduler.domain.errors import UnknownPolicyError
from services.scheduler.domain.model import Node
from services.scheduler.domain.policies import policy_named

WARM_UP_PODS = 300
"""Pods that are placed before the clock runs: enough for every compiled function, and a refresh."""
BASELINE_PODS = 500
"""Pods that plain numpy is timed with."""


def main(arguments: list[str] | None = None) -> int:
    """Run the experiment and report; 2 for what is no trace, no policy or no distribution."""
    options = _parser().parse_args(arguments)
    try:
        report = measure(options)
    except (OSError, ValueError, UnknownPolicyError) as error:
        print(f"bench.placement: {error}", file=sys.stderr)
        return 2
    _show(report, options.json)
    return 0


def measure(options: argparse.Namespace) -> Report:
    """The report of the runs that the options name. Raises `ValueError`, `OSError` or `UnknownPolicyError`."""
    told = expectation(policy_named(options.policy), options.distribution, options.pods)
    nodes, pods = read_nodes(options.nodes), read_pods(options.pods)
    if options.synthetic_nodes:
        nodes = repeated(nodes, options.synthetic_nodes)
    compile_seconds = _warm_up(nodes, pods, told)
    outcomes: dict[int, Outcome] = {}
    for seed in options.seeds:
        outcomes[seed] = run_policy(run_of(nodes, pods, seed), told.policy, told.memory)
        print(f"seed {seed}: {len(outcomes[seed].asked)} pods in {outcomes[seed].seconds:.1f} s", file=sys.stderr)
    plain = None
    if options.baseline:
        plain = plain_fgd_rate(run_of(nodes, pods, options.seeds[0]), Counter(pod.shape for pod in pods), BASELINE_PODS)
    name = trace_name(options.pods)
    return Report(told.policy.name, name, told.source, len(nodes), outcomes, compile_seconds, plain)


def repeated(nodes: list[Node], count: int) -> list[Node]:
    """So many nodes, the list over and over again under other names."""
    return [replace(nodes[number % len(nodes)], name=f"node-{number:06d}") for number in range(count)]


def seeds_of(text: str) -> list[int]:
    """`42-51` or `42,43`. Raises `ValueError` for anything else."""
    first, dash, last = text.partition("-")
    seeds = list(range(int(first), int(last) + 1)) if dash else [int(seed) for seed in text.split(",")]
    if not seeds:
        raise ValueError(f"{text} names no seed")
    return seeds


def _warm_up(nodes: list[Node], pods: list[Pod], told: Expectation) -> float:
    """Seconds that compilation, or the load of what was compiled, takes: a short run, less the same run again."""
    whole = run_of(nodes, pods, 0)
    run = Run(whole.nodes, whole.arrivals[:WARM_UP_PODS])
    started = time.perf_counter()
    run_policy(run, told.policy, told.memory)
    first = time.perf_counter() - started
    return max(first - run_policy(run, told.policy, told.memory).seconds, 0.0)


def _show(report: Report, as_json: bool) -> None:
    found = report.as_json()
    if as_json:
        print(json.dumps(found))
        return
    columns = "  ".join(f"{column}: {found['allocation_pct'][str(column)]:.2f}" for column in COLUMNS)
    print(f"{found['trace']} {found['policy']}  {columns}  {found['decisions_per_second']:.0f} decisions/s")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.placement", description=__doc__)
    parser.add_argument("--nodes", type=Path, required=True, help="node list, in the columns of openb")
    parser.add_argument("--pods", type=Path, required=True, help="pod list, in the columns of openb")
    parser.add_argument("--policy", default="default", help="name of a policy")
    parser.add_argument("--seeds", type=seeds_of, default=seeds_of("42-51"), help="42-51 or 42,43")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--distribution", default="", help="a pod list to expect instead of --pods, or last:N")
    parser.add_argument("--synthetic-nodes", type=int, default=0, help="so many nodes, made of the list")
    parser.add_argument("--baseline", choices=["numpy-fgd"], help="time this beside it")
    return parser


if __name__ == "__main__":
    sys.exit(main())
