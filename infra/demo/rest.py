"""A small client of the REST API, as a tenant or an operator would write it."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import httpx

BUSY = (429, 503)
ATTEMPTS = 10


class Refused(Exception):  # noqa: N818 - an answer, and sometimes the wanted one
    """The API answered with a problem document."""

    def __init__(self, status: int, problem: dict[str, Any]) -> None:
        super().__init__(f"{status} {problem.get('title')}: {problem.get('detail')} {problem.get('errors') or ''}")
        self.status = status
        self.problem = problem

    @property
    def code(self) -> str:
        """The last part of the problem's type, such as `quota-exceeded`."""
        return str(self.problem.get("type", "")).rpartition("/")[2]


class Rest:
    """Calls with one credential. What is busy is tried again, with the same Idempotency-Key."""

    def __init__(self, api_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{api_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30
        )

    async def get(self, path: str, **params: Any) -> Any:
        """The resource; raises `Refused`."""
        return await self._call("GET", path, params=params)

    async def post(self, path: str, body: Any) -> Any:
        """The answer to a write; raises `Refused`."""
        return await self._call("POST", path, json=body)

    async def patch(self, path: str, body: Any) -> Any:
        """The answer to a change; raises `Refused`."""
        return await self._call("PATCH", path, json=body)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _call(self, method: str, path: str, **arguments: Any) -> Any:
        headers = {} if method == "GET" else {"Idempotency-Key": str(uuid4())}
        for attempt in range(1, ATTEMPTS + 1):
            response = await self._client.request(method, path, headers=headers, **arguments)
            if response.status_code not in BUSY or attempt == ATTEMPTS:
                break
            await asyncio.sleep(float(response.headers.get("Retry-After", "1")))
        if response.is_error:
            raise Refused(response.status_code, response.json())
        return response.json() if response.content else None
