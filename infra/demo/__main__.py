"""`python -m infra.demo [--json] [--trace FILE] [--state DIR] [--keep]`: exits 0 only if each step was checked."""

from __future__ import annotations

import argparse
import asyncio
import sys
import traceback
from pathlib import Path

from rich.console import Console

from infra.demo.recorded import TRACE
from infra.demo.report import as_json, show
from infra.demo.story import Outcome, Story
from infra.local.errors import LocalError
from infra.local.platform import Platform


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.demo", description=__doc__)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line")
    parser.add_argument("--trace", type=Path, default=TRACE, help="requests: TIMESTAMP,ContextTokens,GeneratedTokens")
    parser.add_argument("--state", type=Path, default=Path(".state/demo"), help="state directory, made anew")
    parser.add_argument("--keep", action="store_true", help="leave the platform running")
    options = parser.parse_args()
    if not options.trace.is_file():
        parser.error(f"--trace: there is no file {options.trace}")
    return options


def run(options: argparse.Namespace, console: Console) -> Outcome:
    """Start the platform, tell the story, stop it; what went wrong is printed and leaves its check unmet."""
    platform = Platform(options.state)
    platform.destroy()
    outcome = Outcome(checks={"0_platform": False})
    try:
        console.print("starting Kafka, Postgres, Redis, the simulated cluster and the four services …")
        platform.up()
        story = Story(platform, options.trace, lambda title: console.print(f"[bold]{title}"))
        outcome = story.outcome
        asyncio.run(story.tell())
    except LocalError as error:
        console.print(f"[red]{error}")
    except Exception:
        console.print(traceback.format_exc(), markup=False)
    finally:
        if not options.keep:
            platform.down()
    show(outcome, console, str(platform.state_dir / "logs"))
    return outcome


def main() -> int:
    """The demo; returns the exit status."""
    options = arguments()
    outcome = run(options, Console(stderr=options.json))
    if options.json:
        sys.stdout.write(as_json(outcome) + "\n")
    return 0 if outcome.checks and all(outcome.checks.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
