"""Problem documents at the edge: every error becomes one, whoever raised it; and a page for each kind."""

from __future__ import annotations

import html
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse, Response
from loguru import logger
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from schemas.deployment import Violation
from schemas.errors import place_of
from services.ingest_api.domain.problems import CATALOGUE, Problem, violation
from services.kit.errors import TooLargeError, TransientError

MEDIA_TYPE = "application/problem+json"
CODE_OF_STATUS = {
    400: "malformed-body",
    404: "not-found",
    405: "method-not-allowed",
    413: "body-too-large",
    415: "unsupported-media-type",
}
"""For errors that the web framework raises itself."""
MOST_VIOLATIONS = 20
"""Told at once: a body can break a rule a hundred thousand times."""
AGAIN = (
    "Something the platform needs is away. Send the same request again after Retry-After, with the same "
    "Idempotency-Key and sample ids: what was done already is not done twice."
)


class ProblemDocument(BaseModel):
    """What is wrong, and what to do (RFC 9457). Some problems have further members, such as `limit` and `reset`."""

    type: Annotated[str, Field(description="Stable; a page that explains it.")]
    title: str
    status: int
    detail: Annotated[str, Field(description="What is wrong with this request and what to do.")]
    instance: Annotated[str, Field(description="The path that was asked for.")]
    errors: Annotated[list[Violation], Field(description="What is wrong, field by field.")]
    trace_id: Annotated[str, Field(description="Name it when you ask for help.")]


RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem",
        "content": {
            MEDIA_TYPE: {"schema": ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")}
        },
    }
}


def answer(request: Request, problem: Problem) -> Response:
    """The response of a problem."""
    document = problem.document(request.url.path, request.state.trace_id)
    return JSONResponse(document, problem.kind.status, problem.headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    """Turn every kind of error of `app` into problems."""
    handlers: dict[Any, Callable[[Any], Problem]] = {
        Problem: lambda error: error,
        RequestValidationError: of_validation,
        HTTPException: of_framework,
        TransientError: of_outage,
        TooLargeError: lambda error: Problem("body-too-large", f"{error}."),
        Exception: of_accident,
    }
    for kind, convert in handlers.items():
        app.add_exception_handler(kind, _handler(convert))


def _handler(convert: Callable[[Any], Problem]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        return answer(request, convert(error))

    return handle


def of_validation(error: RequestValidationError) -> Problem:
    """One violation for each field that pydantic complains about."""
    items = error.errors()
    if any(item["type"] == "json_invalid" for item in items):
        return Problem("malformed-body", f"The body is not JSON: {items[0]['ctx']['error']}.")
    violations = [_violation(item) for item in items[:MOST_VIOLATIONS]]
    return Problem("invalid-request", "Mend the fields listed in errors.", errors=violations)


def _violation(item: dict[str, Any]) -> Violation:
    """The pointer is into the body; what is not in the body is named in the message."""
    place, *path = [str(part) for part in place_of(item)] or ["body"]
    if place == "body":
        return violation("".join(f"/{_escape(part)}" for part in path), item["msg"])
    return violation("", f"{place} parameter {'.'.join(path)}: {item['msg']}")


def _escape(part: str) -> str:
    """As JSON pointers do (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def of_framework(error: HTTPException) -> Problem:
    """What routing and body reading raise."""
    code = CODE_OF_STATUS.get(error.status_code, "invalid-request" if error.status_code < 500 else "internal")
    return Problem(code, f"{error.detail}. {CATALOGUE[code].meaning}", headers=dict(error.headers or {}))


def of_outage(error: TransientError) -> Problem:
    """Something that is needed is away."""
    logger.warning("a request could not be served: {}", error)
    headers = {"Retry-After": str(max(1, round(error.retry_after)))}
    return Problem("unavailable", AGAIN, headers=headers)


def of_accident(error: Exception) -> Problem:
    """Our fault; the caller learns no more than that."""
    logger.opt(exception=error).error("a request failed unexpectedly")
    return Problem("internal", CATALOGUE["internal"].meaning)


router = APIRouter(tags=["problems"])


@router.get("/problems/{code}", response_class=HTMLResponse, summary="What a problem means")
async def explain(code: str) -> HTMLResponse:
    """The page that the `type` of a problem document names."""
    kind = CATALOGUE.get(code)
    if kind is None:
        raise HTTPException(404, "There is no such kind of problem")
    title, meaning = html.escape(kind.title), html.escape(kind.meaning)
    return HTMLResponse(
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}</title>"
        f"<h1>{title}</h1><p>HTTP status {kind.status}, type <code>/problems/{code}</code></p><p>{meaning}</p></html>"
    )
