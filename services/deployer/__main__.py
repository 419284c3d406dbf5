"""`python -m services.deployer`: one deployer process."""

from __future__ import annotations

import asyncio
import sys

from services.deployer.bootstrap import build
from services.deployer.settings import DeployerSettings
from services.kit.settings import PlatformSettings, load


def main() -> int:
    """Run until SIGTERM; returns the exit status."""
    platform, settings = load(PlatformSettings), load(DeployerSettings)

    async def run() -> int:
        return await build(platform, settings).run()

    return asyncio.run(run())


if __name__ == "__main__":
    sys.exit(main())
