"""A page about the API, made from its own description. It loads nothing from elsewhere, so it works offline."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:64rem;margin:2rem auto;padding:0 1rem;color:#1b1f24}"
    "h2{margin-top:2.5rem;border-bottom:1px solid #ccc}summary{cursor:pointer;padding:.3rem 0}"
    "code,b{font-family:ui-monospace,monospace}pre{background:#f5f5f2;padding:1rem;overflow:auto}"
)


@router.get("/docs", response_class=HTMLResponse)
async def page(request: Request) -> HTMLResponse:
    """Every route by resource, with its parameters and body."""
    return HTMLResponse("".join(_page(request.app.openapi())))


def _page(api: dict[str, Any]) -> Iterator[str]:
    title = html.escape(api["info"]["title"])
    yield f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title><style>{STYLE}</style>"
    yield f"<h1>{title} {html.escape(api['info']['version'])}</h1><p>{html.escape(api['info']['description'])}</p>"
    yield "<p>For machines: <a href=openapi.json>openapi.json</a> (OpenAPI 3.1)</p>"
    tag = None
    for path, method, route in _routes(api):
        if route["tags"][0] != tag:
            tag = route["tags"][0]
            yield f"<h2>{html.escape(tag)}</h2>"
        yield from _route(path, method, route)
    yield "<h2>Shapes</h2>"
    for name, schema in sorted(api["components"]["schemas"].items()):
        yield f"<details><summary><code>{html.escape(name)}</code></summary>{_shape(schema)}</details>"


def _routes(api: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    routes = [(path, method, route) for path, methods in api["paths"].items() for method, route in methods.items()]
    tags = list(dict.fromkeys(route["tags"][0] for _, _, route in routes))
    return sorted(routes, key=lambda row: (tags.index(row[2]["tags"][0]), row[0]))


def _route(path: str, method: str, route: dict[str, Any]) -> Iterator[str]:
    yield f"<details><summary><b>{method.upper()}</b> <code>{html.escape(path)}</code> — "
    yield f"{html.escape(route.get('summary', ''))}</summary><p>{html.escape(route.get('description', ''))}</p><ul>"
    for parameter in route.get("parameters", ()):
        about = html.escape(parameter.get("description", ""))
        yield f"<li><code>{html.escape(parameter['name'])}</code> ({parameter['in']}) {about}</li>"
    yield "</ul>"
    for media_type, content in route.get("requestBody", {}).get("content", {}).items():
        shape = _shape(content.get("example") or content["schema"])
        yield f"<p>Body, <code>{html.escape(media_type)}</code>:</p>{shape}"
    yield "</details>"


def _shape(schema: Any) -> str:
    return f"<pre>{html.escape(json.dumps(schema, indent=1, ensure_ascii=False))}</pre>"
