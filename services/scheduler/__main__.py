"""`python -m services.scheduler`: one scheduler process."""

from __future__ import annotations

import asyncio
import sys

from services.kit.settings import PlatformSettings, load
from services.scheduler.bootstrap import build
from services.scheduler.settings import SchedulerSettings


def main() -> int:
    """Run until SIGTERM; returns the exit status."""
    platform, settings = load(PlatformSettings), load(SchedulerSettings)

    async def run() -> int:
        return await build(platform, settings).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
