"""Problem documents (RFC 9457): the catalogue of what can be wrong, and the error that carries one to the edge.

Each code has a page at `/problems/<code>`; that path is the stable `type` of its documents.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from schemas.deployment import Violation
from schemas.text import mended


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of problem."""

    status: int
    """HTTP status."""
    title: str
    """The same for every occurrence."""
    meaning: str
    """For the page: what it means and what to do."""


CATALOGUE: dict[str, Kind] = {
    "unauthenticated": Kind(401, "Credential needed", "Send a bearer token or an API key that is valid now."),
    "forbidden": Kind(403, "Not allowed", "The credential lacks the scope, or speaks for no tenant. Use another one."),
    "wrong-tenant": Kind(403, "Wrong tenant", "The tenant comes from the credential alone; leave it out of the body."),
    "tenant-suspended": Kind(403, "Tenant suspended", "The tenant may start nothing new until an operator resumes it."),
    "quota-exceeded": Kind(
        403, "Quota exceeded", "It does not fit under the limit. Wait for `reset`, or ask for more."
    ),
    "not-found": Kind(404, "Not found", "Nothing with this id belongs to the tenant of the credential."),
    "method-not-allowed": Kind(405, "Method not allowed", "See the Allow header and the API's documentation."),
    "conflict": Kind(409, "Conflict", "What is there already does not agree with the request."),
    "deployment-exists": Kind(409, "Deployment exists", "PATCH the deployment of that name, or choose another name."),
    "deployment-removing": Kind(409, "Deployment is being removed", "Wait until it is removed, then create it anew."),
    "no-change": Kind(409, "Nothing to change", "The deployment runs, or is on its way to, exactly what was asked."),
    "no-rollout": Kind(409, "No rollout under way", "There is nothing to pause, resume, promote or abort."),
    "body-too-large": Kind(413, "Body too large", "Send less at a time."),
    "unsupported-media-type": Kind(415, "Unsupported media type", "Send one of the media types that are listed."),
    "malformed-body": Kind(400, "Malformed body", "The body is not JSON in UTF-8. Nothing was done."),
    "invalid-request": Kind(422, "Invalid request", "The fields listed in `errors` must be mended. Nothing was done."),
    "idempotency-key-required": Kind(
        400, "Idempotency-Key needed", "Send an Idempotency-Key header, such as a UUID, with every write."
    ),
    "idempotency-key-reused": Kind(
        422, "Idempotency-Key used for another request", "Use a fresh key for a request with other content."
    ),
    "deployment-name-invalid": Kind(422, "Name cannot be used", "Deployment names are DNS labels of up to 40 letters."),
    "model-not-found": Kind(422, "Model not registered", "Register the model first: POST /api/v1/models."),
    "model-archived": Kind(422, "Model archived", "An archived model cannot be deployed. Register another one."),
    "version-not-found": Kind(
        422, "Version not registered", "Register the version first: POST /api/v1/models/{name}/versions."
    ),
    "too-many-questions": Kind(
        429, "Too many questions", "Wait until the earlier ones are answered, or until Retry-After is over."
    ),
    "samples-in-flight": Kind(503, "Samples are being recorded", "The same samples are under way; try again shortly."),
    "unavailable": Kind(503, "Temporarily unavailable", "Something the platform needs is away. Try again later."),
    "internal": Kind(500, "Internal error", "Our fault. Report the trace_id. A retry with the same key is safe."),
}


class Problem(Exception):  # noqa: N818 - RFC 9457 calls it so
    """A request that cannot be done; becomes a problem document."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        errors: Sequence[Violation] = (),
        extra: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        """Key of the catalogue."""
        self.detail = mended(detail, 4000)
        """What is wrong with this request and what to do."""
        self.errors = tuple(errors)
        self.extra = extra or {}
        """Further members of the document, such as `limit`."""
        self.headers = headers or {}

    @property
    def kind(self) -> Kind:
        """What is the same for all problems of this code."""
        return CATALOGUE[self.code]

    def document(self, instance: str, trace_id: str) -> dict[str, Any]:
        """The body of `application/problem+json`."""
        return {
            "type": f"/problems/{self.code}",
            "title": self.kind.title,
            "status": self.kind.status,
            "detail": self.detail,
            "instance": instance,
            "errors": [violation.model_dump() for violation in self.errors],
            "trace_id": trace_id,
            **self.extra,
        }


def invalid(pointer: str, message: str, code: str = "invalid-request") -> Problem:
    """The problem of one wrong field."""
    return Problem(code, message, errors=(violation(pointer, message),))


def violation(pointer: str, message: str) -> Violation:
    """What is wrong with a field; callers choose the names of unknown ones, and they may be any text."""
    return Violation(pointer=mended(pointer, 1000), message=mended(message, 4000))


def not_found(what: str) -> Problem:
    """Nothing of that kind, or not the caller's: the two look alike."""
    return Problem("not-found", f"There is no {what} with this name or id.")
