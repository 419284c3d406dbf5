"""`python -m bench.pipeline [--json] [--only NAME …] [--quick]`; see bench/README.md."""

from __future__ import annotations

import argparse
import json
import signal
import sys

from rich.console import Console

from bench.pipeline.report import show
from bench.pipeline.run import NAMES, run
from bench.pipeline.sizes import QUICK, Sizes


def main() -> int:
    """Measure and report; 0 also when an aim is missed, because that depends on the machine."""
    parser = argparse.ArgumentParser(prog="python -m bench.pipeline", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, help="measure these alone")
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it works")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a cancelled run stops its parts too
    console = Console(stderr=options.json)
    report = run(options.only, QUICK if options.quick else Sizes(), lambda what: console.print(f"[dim]{what} …"))
    if options.json:
        sys.stdout.write(json.dumps(report.as_json()) + "\n")
    else:
        show(report, console)
    return 0


if __name__ == "__main__":
    sys.exit(main())
