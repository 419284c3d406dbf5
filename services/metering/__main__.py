"""`python -m services.metering`."""

import asyncio
import sys

from services.kit.settings import PlatformSettings, load
from services.metering.bootstrap import build
from services.metering.settings import MeteringSettings

if __name__ == "__main__":
    platform, settings = load(PlatformSettings), load(MeteringSettings)
    sys.exit(asyncio.run(build(platform, settings)))
