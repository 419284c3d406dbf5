"""The real REST application on in-memory stores, with a tenant that has a model: `TENANT`, as `ADMIN`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import httpx

from schemas.base import EventData
from schemas.envelope import Event
from services.ingest_api.handlers import admission_table, projection_table
from services.kit.clock import HeldClock
from services.kit.ids import new_id
from services.kit.persistence.unit_of_work import UnitOfWork
from tests.fakes.ingest_api.application import OPERATOR, Application
from tests.fakes.ingest_api.builders import HALF_GPU, NOW, TENANT, event, model, tenant, version
from tests.fakes.ingest_api.stores import InMemoryDoor, stores_of

SPEC = {
    "name": "chat",
    "model": "llama",
    "version": "1.0",
    "replicas": 4,
    "resources": HALF_GPU.model_dump(mode="json"),
}


class Front:
    """The application, its stores, and what it said."""

    def __init__(self) -> None:
        self.clock = HeldClock(NOW)
        self.door = InMemoryDoor(self.clock)
        self.application = Application(transactions=self.door.transactions, clock=self.clock)
        self.rung: list[UUID] = []
        """Deployments whose waiting callers were woken."""

    async def open_up(self) -> None:
        """TENANT with model `llama` in versions 1.0 and 2.0."""
        async with self.door.open(TENANT) as stores:
            await stores.tenants.add(tenant())
            await stores.models.add(model())
            for name in ("1.0", "2.0"):
                await stores.models.add_version(version(version=name))

    async def send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One request; as ADMIN of TENANT unless another `credential` is given."""
        return await self.application.send(method, path, json=body, **options)

    async def get(self, path: str, **options: Any) -> Any:
        """What is there."""
        answer = await self.send("GET", path, **options)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None, **options: Any) -> Any:
        """A write that is accepted."""
        answer = await self.send("POST", path, body, **options)
        assert answer.is_success, answer.text
        return answer.json()

    async def deploy(self, **changes: Any) -> str:
        """A new deployment; returns its id."""
        deployment_id: str = (await self.post("/deployments", SPEC | changes))["deployment_id"]
        return deployment_id

    async def tenant_of(self, name: str) -> str:
        """Another tenant; returns its id."""
        created = await self.post("/tenants", {"name": name, "plan": {"name": "team"}}, credential=OPERATOR)
        tenant_id: str = created["tenant_id"]
        return tenant_id

    def said(self, kind: type[EventData] | None = None) -> list[Event[Any]]:
        """What was said so far, or that of one kind."""
        return [each for each in self.door.tables.events if kind is None or isinstance(each.data, kind)]

    async def learn(self, *happened: EventData | Event[Any]) -> Sequence[Event[Any]]:
        """What the projection does with events of TENANT."""
        events = [each if isinstance(each, Event) else event(each) for each in happened]
        handlers = projection_table(stores_of, self._ring)
        for each in events:
            async with self.door.unit_of_work() as work:
                await handlers[type(each.data)](each, work)
        return events

    async def ask(self, asked: Event[Any]) -> None:
        """What admission does with a request from outside."""
        async with self.door.unit_of_work() as work:
            await admission_table(stores_of, new_id)[type(asked.data)](asked, work)

    async def _ring(self, _: UnitOfWork, deployment_id: UUID) -> None:
        self.rung.append(deployment_id)
        self.application.bell.ring(deployment_id)


def problem(answer: httpx.Response) -> tuple[int, str, list[str]]:
    """Status, code and pointers of a problem document."""
    document = answer.json()
    assert answer.headers["content-type"] == "application/problem+json"
    assert document["status"] == answer.status_code
    assert document["trace_id"] == answer.headers["x-trace-id"]
    return answer.status_code, document["type"].rpartition("/")[2], [each["pointer"] for each in document["errors"]]
