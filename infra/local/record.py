"""`stack.json`: the ports, passwords and processes of one state directory, readable by its owner only."""

import json
import os
import threading
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from infra.local.process import ProcessId


@dataclass(frozen=True)
class Record:
    """What is remembered of one part from one command to the next."""

    ports: tuple[int, ...]
    """The first is the one that clients use."""
    password: str
    process: ProcessId | None = None
    """None after an orderly stop."""


class StackFile:
    """The records of a stack by part name; safe to write from the threads that start parts side by side."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._writing = threading.Lock()

    def exists(self) -> bool:
        """Whether a stack was ever started here."""
        return self._path.exists()

    def read(self) -> dict[str, Record]:
        """All records; none before the first `up`."""
        try:
            text = self._path.read_text()
        except FileNotFoundError:
            return {}
        return {name: _from_json(fields) for name, fields in json.loads(text).items()}

    def put(self, name: str, record: Record) -> None:
        """Replace one record; a reader sees the old file or the new one, never a half."""
        with self._writing:
            records = {**self.read(), name: record}
            text = json.dumps({key: asdict(value) for key, value in records.items()}, indent=2)
            draft = self._path.with_suffix(".new")
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(text)
            draft.replace(self._path)


def _from_json(fields: dict[str, Any]) -> Record:
    process = fields["process"]
    return Record(tuple(fields["ports"]), fields["password"], ProcessId(**process) if process else None)
