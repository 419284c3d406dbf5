"""The simulators as one process: joins the parts and serves them until told to stop."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from aiohttp import web

from infra.local.simulators.behaviour import Behaviours
from infra.local.simulators.control import ControlApi
from infra.local.simulators.gateway import SimulatedGateway
from infra.local.simulators.measurements import Measurements
from infra.local.simulators.nodes import Node, Nodes
from infra.local.simulators.pod import LOOPBACK
from infra.local.simulators.routes import Routes
from infra.local.simulators.settings import SimulatorSettings
from infra.local.simulators.workloads import Workloads


@dataclass(frozen=True)
class SimulatorAddresses:
    """Where the simulators are reached; what `--state-file` holds, as JSON."""

    control_url: str
    """Base of the control API."""
    gateway_url: str
    """Base of the gateway: `{gateway_url}/{deployment_id}/v1/infer`."""
    pid: int

    def write(self, path: Path) -> None:
        """Write them; a reader sees all or nothing."""
        draft = path.with_name(f"{path.name}.new")
        draft.write_text(json.dumps(asdict(self), indent=2))
        draft.replace(path)


@asynccontextmanager
async def simulators(
    nodes: list[Node], settings: SimulatorSettings | None = None, *, port: int = 0, gateway_port: int = 0
) -> AsyncIterator[SimulatorAddresses]:
    """The simulators on loopback for the length of the block; port 0 = any free one."""
    settings = settings or SimulatorSettings()
    behaviours, measurements, routes = Behaviours(), Measurements(), Routes(settings)
    present = Nodes(nodes)
    workloads = Workloads(present, behaviours, settings)
    gateway = SimulatedGateway(workloads, routes, measurements)
    control = ControlApi(present, settings, behaviours, workloads, routes, measurements, gateway)
    await gateway.open()
    runner = web.AppRunner(control.application(), access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, port)
    await site.start()
    entrance = web.Server(gateway.answer)
    listener = await asyncio.get_running_loop().create_server(entrance, LOOPBACK, gateway_port, backlog=512)
    try:
        yield SimulatorAddresses(
            f"http://{LOOPBACK}:{runner.addresses[0][1]}",
            f"http://{LOOPBACK}:{listener.sockets[0].getsockname()[1]}",
            os.getpid(),
        )
    finally:
        listener.close()
        await entrance.shutdown(timeout=1)
        await runner.cleanup()
        await workloads.close()
        await gateway.close()
