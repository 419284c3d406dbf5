"""Small processes in the places of the platform's own: each says that it is ready, and notes how it was started."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from infra.local.process import Launch
from infra.local.workers import CLUSTER, WorkerId

SERVES = """
import http.server, json, os, signal, sys, time
name, port, journal, status = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])

def note(event):
    with open(journal, "a") as file:
        file.write(json.dumps([event, name, dict(os.environ)]) + "\\n")

class Ready(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(status)
        self.end_headers()
    def log_message(self, *_):
        pass

def stop(*_):
    time.sleep(0 if name.startswith("cluster") else 0.1)  # services have something to drain
    note("stop")
    os._exit(0)

signal.signal(signal.SIGTERM, stop)
note("start")
http.server.ThreadingHTTPServer(("127.0.0.1", port), Ready).serve_forever()
"""
DIES = "import sys; sys.exit('no such luck')"


class StandIns:
    """Launches stand-ins; `launch` takes the place of `infra.local.workers.launch_of`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._journal = folder / "journal"
        self.arguments: dict[str, tuple[str, ...]] = {}
        """What each worker was given on its command line."""
        self.dies: set[str] = set()
        """Names of workers that end at once."""
        self.never_ready: set[str] = set()
        """Names of workers that run and take no work."""

    def launch(self, worker: WorkerId, environment: Mapping[str, str], arguments: tuple[str, ...] = ()) -> Launch:
        """The stand-in of a worker."""
        self.arguments[str(worker)] = arguments
        port = arguments[1] if worker.name == CLUSTER else health_port(environment)
        code = DIES if worker.name in self.dies else SERVES
        status = "503" if worker.name in self.never_ready else "200"
        command = (sys.executable, "-S", "-c", code, str(worker), port, str(self._journal), status)
        return Launch(command, self._folder, environment=environment)

    def events(self, event: str) -> list[str]:
        """Names of the workers, in the order in which this happened to them."""
        return [name for happened, name, _ in self._entries() if happened == event]

    def environment(self, name: str) -> dict[str, str]:
        """What the worker had in its environment of ours at its last start."""
        found = [variables for event, started, variables in self._entries() if (event, started) == ("start", name)][-1]
        return {key: value for key, value in found.items() if key.startswith("TAXIWAY_")}

    def _entries(self) -> list[tuple[str, str, dict[str, str]]]:
        if not self._journal.exists():
            return []
        return [json.loads(line) for line in self._journal.read_text().splitlines()]


def health_port(environment: Mapping[str, str]) -> str:
    """The port on which a service says that it is ready."""
    return next(value for name, value in environment.items() if name.endswith("_HEALTH_PORT"))
