"""A caller of REST that repeats a write until it is accepted, as the API tells its callers to do."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import httpx

AGAIN = (429, 503)
REFUSALS = ("unavailable", "samples-in-flight")
PAUSE_SECONDS = 0.5
"""Before a repetition. Shorter than most Retry-After: what is tried more often than asked for must do no harm."""
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back of one call."""

    call: str
    """Method and path."""
    status: int
    """HTTP status; 0 when there was no answer, because the process was away."""
    seconds: float
    retry_after: str | None
    problem: str
    """Code of the problem document, such as `unavailable`; empty when there is none."""
    body: Any

    @property
    def is_success(self) -> bool:
        """Whether the call was done."""
        return 200 <= self.status < 300

    @property
    def is_documented_refusal(self) -> bool:
        """Whether it is what the API promises while something is away: 503, a problem, and when to come back."""
        return self.status == 503 and self.problem in REFUSALS and (self.retry_after or "").isdigit()


class Client:
    """Calls with one credential."""

    def __init__(self, api_url: str, token: str) -> None:
        self._client = httpx.AsyncClient(
            base_url=f"{api_url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=40
        )
        self.answers: list[Answer] = []
        """Of `accepted`, repetitions and all."""

    async def once(self, method: str, path: str, body: Any = None, *, key: str | None = None) -> Answer:
        """One call, whatever becomes of it."""
        call, started = f"{method} {path}", time.monotonic()
        headers = {} if method == "GET" else {"Idempotency-Key": key or str(uuid4())}
        try:
            response = await self._client.request(method, path, json=body, headers=headers)
        except httpx.TransportError as error:
            return Answer(call, 0, time.monotonic() - started, None, type(error).__name__, None)
        is_problem = response.headers.get("content-type", "").startswith("application/problem+json")
        content: Any = response.json() if response.content else {}
        return Answer(
            call,
            response.status_code,
            time.monotonic() - started,
            response.headers.get("Retry-After"),
            str(content["type"]).rpartition("/")[2] if is_problem else "",
            content,
        )

    async def accepted(self, method: str, path: str, body: Any = None) -> Any:
        """Repeat the call with the same key until it is answered with success; returns the body."""
        key, deadline = str(uuid4()), time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = await self.once(method, path, body, key=key)
            self.answers.append(answer)
            if answer.is_success:
                return answer.body
            assert answer.status in (0, *AGAIN), f"{method} {path}: {answer}"
            assert time.monotonic() < deadline, f"{method} {path} was never accepted: {answer}"
            await asyncio.sleep(PAUSE_SECONDS)

    async def get(self, path: str) -> Any:
        """The resource, which must be there at once."""
        answer = await self.once("GET", path)
        assert answer.status == 200, f"GET {path}: {answer}"
        return answer.body

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
