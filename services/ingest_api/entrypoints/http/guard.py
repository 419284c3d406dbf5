"""No control character in a path, a query or a header goes any further: Postgres keeps no NUL, and logs are lines.

Bodies are looked at field by field (`schemas.text`); this is for what has no model of its own.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from fastapi import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.text import is_printable, mended
from services.ingest_api.domain.problems import invalid
from services.ingest_api.entrypoints.http.problems import answer

_OF_A_HEADER = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Headers are bytes: those from 0x80 on may be parts of letters (RFC 9110, obs-text), and a tab is a space."""


class TextGuard:
    """Middleware: such a request is answered 422, with the name of what is wrong."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, or refuse it."""
        place = unprintable_part(scope) if scope["type"] == "http" else None
        if place is None:
            await self._app(scope, receive, send)
        else:
            problem = invalid("", f"{place} must not hold control characters")
            await answer(Request(scope), problem)(scope, receive, send)


def unprintable_part(scope: Scope) -> str | None:
    """Which part of the request holds a control character, in words; None when none does."""
    if not is_printable(scope["path"]):
        return "the path"
    for name, value in parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True):
        if not is_printable(name + value):
            return f"query parameter {mended(name, 100)}"
    for header, content in scope["headers"]:
        if _OF_A_HEADER.search(content):
            return f"header {header.decode('latin-1')}"
    return None
