"""`python -m services.ingest_api`: one ingest process."""

from __future__ import annotations

import asyncio
import sys

from services.ingest_api.bootstrap import run
from services.ingest_api.settings import IngestSettings
from services.kit.settings import PlatformSettings, load


def main() -> int:
    """Run until SIGTERM; returns the exit status."""
    platform, settings = load(PlatformSettings), load(IngestSettings)
    return asyncio.run(run(platform, settings))


if __name__ == "__main__":
    sys.exit(main())
