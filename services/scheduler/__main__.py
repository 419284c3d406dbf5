"""`python -m services.scheduler`: one scheduler process."""

from __future__ import annotations

import asyncio
import sys

from services.kit.settings import PlatformSettings, load
from services.scheduler.bootstrap import build
from services.scheduler.settings import SchedulerSettings

SWITCH_SECONDS = 0.001
"""How long the thread that decides may keep the loop waiting, which talks to Kafka and Postgres, and the loop it.
Python's own 5 ms add up: a placement passes the loop some fifteen times."""


def main() -> int:
    """Run until SIGTERM; returns the exit status."""
    sys.setswitchinterval(SWITCH_SECONDS)
    platform, settings = load(PlatformSettings), load(SchedulerSettings)

    async def run() -> int:
        return await build(platform, settings).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
