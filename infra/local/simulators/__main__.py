"""`python -m infra.local.simulators`: the simulated cluster as one process; SIGTERM ends it."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from infra.local.simulators.nodes import read_nodes
from infra.local.simulators.server import simulators
from infra.local.simulators.settings import SimulatorSettings


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m infra.local.simulators", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="port of the control API; 0 = any free one")
    parser.add_argument("--gateway-port", type=int, default=0, help="port of the gateway; 0 = any free one")
    parser.add_argument("--state-file", type=Path, help="where to write the addresses, as JSON, once they serve")
    parser.add_argument("--nodes", type=Path, help="CSV of nodes: sn,cpu_milli,memory_mib,gpu,model[,pool]")
    parser.add_argument("--load-seconds", type=float, default=0.2, help="how long a pod loads")
    parser.add_argument("--route-delay-seconds", type=float, default=0.1, help="from a route written to applied")
    return parser


async def run(options: argparse.Namespace) -> None:
    """Serve until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    nodes = read_nodes(options.nodes) if options.nodes else []
    settings = SimulatorSettings(load_seconds=options.load_seconds, route_delay_seconds=options.route_delay_seconds)
    async with simulators(nodes, settings, port=options.port, gateway_port=options.gateway_port) as addresses:
        if options.state_file:
            addresses.write(options.state_file)
        sys.stdout.write(f"control {addresses.control_url}\ngateway {addresses.gateway_url}\n")
        sys.stdout.flush()
        await stopping.wait()


if __name__ == "__main__":
    asyncio.run(run(arguments().parse_args()))
