"""`python -m bench.scheduler [--json] [--policy NAME] [--quick]`; see bench/README.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from rich.console import Console

from bench.scheduler.report import show
from bench.scheduler.run import run
from bench.scheduler.sizes import QUICK, Sizes


def main() -> int:
    """Measure and report; 0 also when an aim is missed, because that depends on the machine."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduler", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--policy", default="default", help="the policy that chooses nodes")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled run stops its parts too
    console = Console(stderr=options.json)
    sizes = QUICK if options.quick else Sizes()
    report = run(options.policy, sizes, lambda what: console.print(f"[dim]{what} …"))
    if options.json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    else:
        show(report, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
