"""The REST API as commands use it: problems become `ApiError`, lists are followed to their end, writes get a key."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import httpx
import typer

from services.cli.failures import ApiError, NotConfigured, Unreachable

Json = dict[str, Any]
"""A resource, as the API gives it."""

BASE = "/api/v1"
TIMEOUT_SECONDS = 30.0
STREAM_SILENCE_SECONDS = 60.0
"""The API speaks at least every 15 s on a stream, if only to say that there is nothing new."""
PAGE = 500


def segment(text: str) -> str:
    """A name as one segment of a path, whatever is in it; raises `typer.BadParameter` where it cannot be one."""
    if text in ("", ".", ".."):
        raise typer.BadParameter(f"{text!r} is not a name")
    return quote(text, safe="")


class Api:
    """One server and one credential. Every method raises `ApiError` or `Unreachable`."""

    def __init__(self, url: str, token: str, transport: httpx.BaseTransport | None = None) -> None:
        if not url.startswith(("http://", "https://")):
            raise NotConfigured(f"the API's address must begin with http:// or https://, and {url!r} does not")
        if not (token.isascii() and token.isprintable()):  # an error of the client would show it
            raise NotConfigured("the credential holds characters that none has: was it copied whole, and alone?")
        self._url = url.rstrip("/")
        try:
            self._client = httpx.Client(
                base_url=self._url,
                headers={"Authorization": f"Bearer {token}"},
                timeout=TIMEOUT_SECONDS,
                transport=transport,
            )
        except httpx.InvalidURL as error:
            raise NotConfigured(f"the API's address {url!r} cannot be used: {error}") from None

    def get(self, path: str, **query: Any) -> Json:
        """One resource."""
        return self._send("GET", BASE + path, query=query)

    def post(self, path: str, body: Json | None = None, **query: Any) -> Json:
        """Create something, or ask for something to be done."""
        return self._send("POST", BASE + path, query=query, body={} if body is None else body)

    def put(self, path: str, body: Json) -> Json:
        """Replace something."""
        return self._send("PUT", BASE + path, body=body)

    def patch(self, path: str, body: Json) -> Json:
        """Change something."""
        return self._send("PATCH", BASE + path, body=body)

    def delete(self, path: str, **query: Any) -> Json:
        """Remove something; empty when the answer is."""
        return self._send("DELETE", BASE + path, query=query)

    def items(self, path: str, *, limit: int | None = None, **query: Any) -> list[Json]:
        """The items of a list, page after page; at most `limit` of them."""
        page = PAGE if limit is None else min(limit, PAGE)
        return list(islice(self._pages(path, {"limit": page} | query), limit))

    def _pages(self, path: str, query: Json) -> Iterator[Json]:
        answer = self._send("GET", BASE + path, query=query)
        yield from answer["items"]
        while answer.get("next"):
            following = str(answer["next"])
            if not following.startswith(f"{BASE}/"):  # the credential is for this server alone
                raise Unreachable(f"{self._url} names a next page elsewhere: {following}")
            answer = self._send("GET", following)
            yield from answer["items"]

    @contextmanager
    def stream(self, path: str) -> Iterator[Iterator[str]]:
        """The lines of an event stream; ends when the server ends it."""
        with self._reaching():
            timeout = httpx.Timeout(TIMEOUT_SECONDS, read=STREAM_SILENCE_SECONDS)
            with self._client.stream("GET", BASE + path, timeout=timeout) as response:
                if response.status_code >= 300:
                    response.read()
                    raise ApiError(self._problem(response))
                yield response.iter_lines()

    def _send(self, method: str, path: str, *, query: Json | None = None, body: Json | None = None) -> Json:
        params = {name: value for name, value in (query or {}).items() if value is not None}
        headers = {} if method == "GET" else {"Idempotency-Key": str(uuid4())}
        with self._reaching():
            response = self._client.request(method, path, params=params or None, json=body, headers=headers)
        if response.status_code >= 300:
            raise ApiError(self._problem(response))
        return self._json(response) if response.content else {}

    def _problem(self, response: httpx.Response) -> Json:
        if response.headers.get("content-type", "").startswith("application/problem+json"):
            return self._json(response)
        title = f"An answer that is not Taxiway's: {response.reason_phrase}"
        return {"title": title, "status": response.status_code, "detail": f"Is {self._url} the API's address?"}

    def _json(self, response: httpx.Response) -> Json:
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unreachable(f"{self._url} answers, but not as Taxiway does: is it the API's address?")
        return answer

    @contextmanager
    def _reaching(self) -> Iterator[None]:
        try:
            yield
        except httpx.ConnectError:
            raise Unreachable(
                f"nobody answers at {self._url}: start a local platform with `taxiway up`, or set TAXIWAY_API_URL"
            ) from None
        except httpx.TimeoutException:
            raise Unreachable(f"{self._url} gives no answer in time; a write may or may not have been done") from None
        except httpx.TransportError as error:
            raise Unreachable(
                f"the connection to {self._url} broke ({error}); a write may or may not have been done"
            ) from None
