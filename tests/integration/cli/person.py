"""Somebody who types commands."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID, uuid4

from tests.integration.ingest_api.harness import ROOT, Account, FrontDoor

OPTIONS = ["--replicas", "4", "--gpu", "500m", "--cpu", "4", "--memory", "8Gi"]


@dataclass(frozen=True)
class Person:
    """A credential, and the environment that the command runs in."""

    door: FrontDoor
    token: str
    api_url: str | None = None
    """Another address than the front door's."""

    @property
    def environment(self) -> dict[str, str]:
        """What the shell has set."""
        return os.environ | {
            "TAXIWAY_API_URL": self.api_url or f"http://127.0.0.1:{self.door.port}",
            "TAXIWAY_TOKEN": self.token,
            "TAXIWAY_KAFKA_BOOTSTRAP": self.door.addresses.kafka_bootstrap,
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """A command that goes on while the test does something else."""
        command = [sys.executable, "-m", "services.cli.main", *arguments]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, cwd=ROOT, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def types(self, *arguments: str) -> tuple[int, str, str]:
        """A command, to its end: exit status, output, error output."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=90)
        return process.returncode, out, err

    def gets(self, *arguments: str) -> Any:
        """The JSON of a command that succeeds."""
        status, out, err = self.types(*arguments, "--json")
        assert status == 0, err
        return json.loads(out)

    def account(self) -> tuple[Account, Person]:
        """A fresh tenant with an admin, made by commands."""
        name = f"cli-{uuid4().hex[:12]}"
        created = self.gets("tenants", "create", name, "--limit", "input_tokens:day:1000")
        token = self.gets("keys", "create", name, "ci", "--scope", "admin")["token"]
        return Account(self.door, UUID(created["tenant_id"]), name, self.door.client(token)), replace(self, token=token)
