"""Usage as callers send it: CloudEvents, single or in a batch (JSON format 1.0.2), or plain JSON; as samples by source.

One CloudEvent is one sample: `id`, `source` and `time` are the sample's, `data` has its `amounts` and `hold_id`. Plain
JSON is `{"source": …, "samples": [{"id", "time", "amounts", "hold_id"}]}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError

from schemas.base import MAX_AHEAD
from schemas.deployment import Violation
from schemas.envelope import MAX_REQUIRED
from schemas.text import is_printable
from schemas.usage import MAX_HOLD_ID, MAX_OWN_HOLD_ID, MAX_SAMPLES, UsageSample, hold_name
from services.ingest_api.domain.problems import Problem, invalid, violation

PLAIN = "application/json"
SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MEDIA_TYPES = (PLAIN, SINGLE, BATCH)
SAMPLE_TYPE = "taxiway.usage.sample.v1"
"""`type` of a CloudEvent that carries one sample."""
DEFAULT_SOURCE = "/api/v1/usage"
"""Source of plain samples that name none."""
FUTURE = MAX_AHEAD / 2
"""A sample may lie this far ahead of our clock: less than metering allows, so that what is accepted here is counted
there, though the broker's clock is behind ours."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One sample, and where in the body it stands."""

    source: str
    sample: UsageSample
    """Its hold goes by its name on the whole platform."""
    pointer: str


def read_usage(media_type: str, body: bytes, tenant_id: UUID, now: datetime) -> list[Entry]:
    """The samples of a body, in order; raises `Problem` that names every wrong field."""
    if media_type not in MEDIA_TYPES:
        raise Problem("unsupported-media-type", f"Send one of {', '.join(MEDIA_TYPES)}.")
    document = parse_json(body)
    items = list(_items(media_type, document, tenant_id))
    if not 1 <= len(items) <= MAX_SAMPLES:
        raise invalid("/samples" if media_type == PLAIN else "", f"send 1 to {MAX_SAMPLES} samples at a time")
    violations: list[Violation] = []
    entries = [entry for item in items if (entry := _entry(*item, tenant_id, now, violations)) is not None]
    if violations:
        raise Problem("invalid-request", "No sample was recorded: mend the fields listed.", errors=violations)
    return entries


def parse_json(body: bytes) -> Any:
    """The JSON of a body; raises `Problem` when it is not JSON in UTF-8."""
    try:
        return json.loads(body.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise Problem("malformed-body", f"The body is not UTF-8: byte {error.start} cannot be read.") from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits is a plain ValueError
        raise Problem("malformed-body", f"The body is not JSON: {error}.") from None


def too_late(time: datetime, now: datetime) -> str | None:
    """What is wrong with a time that lies in the future; None when it does not."""
    return "time lies in the future: set the sender's clock" if time > now + FUTURE else None


def check_tenant(claimed: object, pointer: str, tenant_id: UUID) -> None:
    """A body may repeat the tenant of the credential, and no other; raises `Problem`."""
    if claimed is not None and str(claimed).lower() != str(tenant_id):
        message = "the tenant comes from the credential, which is another one's: leave the field out"
        raise Problem("wrong-tenant", message, errors=(violation(pointer, message),))


Item = tuple[str, Any, dict[str, str]]
"""Source, sample as JSON, and the pointer of each of its fields ("" = of the whole)."""


def _items(media_type: str, document: Any, tenant_id: UUID) -> Iterator[Item]:
    if media_type == PLAIN:
        yield from _plain(_object(document, ""), tenant_id)
    elif media_type == SINGLE:
        yield _cloud_event(_object(document, ""), "", tenant_id)
    else:
        if not isinstance(document, list):
            raise invalid("", "a batch is a JSON array of CloudEvents")
        for number, event in enumerate(document):
            yield _cloud_event(_object(event, f"/{number}"), f"/{number}", tenant_id)


def _plain(document: dict[str, Any], tenant_id: UUID) -> Iterator[Item]:
    check_tenant(document.get("tenant_id"), "/tenant_id", tenant_id)
    for field in document.keys() - {"tenant_id", "source", "samples"}:
        raise invalid(f"/{field}", f"field {field} is not known")
    source = _text(document, "source", "", default=DEFAULT_SOURCE)
    samples = document.get("samples")
    if not isinstance(samples, list):
        raise invalid("/samples", "samples must be a list")
    for number, sample in enumerate(samples):
        yield source, sample, {"": f"/samples/{number}"}


def _cloud_event(event: dict[str, Any], pointer: str, tenant_id: UUID) -> Item:
    check_tenant(event.get("tenantid"), f"{pointer}/tenantid", tenant_id)
    if event.get("specversion") != "1.0":
        raise invalid(f"{pointer}/specversion", "specversion must be 1.0")
    if event.get("type") != SAMPLE_TYPE:
        raise invalid(f"{pointer}/type", f"type must be {SAMPLE_TYPE}")
    data = _object(event.get("data"), f"{pointer}/data")
    sample = {"id": event.get("id"), "time": event.get("time"), **data}
    pointers = {"": f"{pointer}/data", "id": f"{pointer}/id", "time": f"{pointer}/time"}
    return _text(event, "source", pointer), sample, pointers


def _entry(
    source: str,
    sample: Any,
    pointers: dict[str, str],
    tenant_id: UUID,
    now: datetime,
    violations: list[Violation],
) -> Entry | None:
    """The sample; what is wrong with it is added to `violations`."""
    try:
        parsed = UsageSample.model_validate_json(json.dumps(sample))
    except ValidationError as error:
        violations += [_violation(item["loc"], item["msg"], pointers) for item in error.errors(include_url=False)]
        return None
    if wrong := too_late(parsed.time, now):
        violations.append(_violation(("time",), wrong, pointers))
    if parsed.hold_id is None:
        return Entry(source, parsed, pointers[""])
    return _held(source, parsed, hold_name(tenant_id, parsed.hold_id), pointers, violations)


def _held(
    source: str, sample: UsageSample, hold: str, pointers: dict[str, str], violations: list[Violation]
) -> Entry | None:
    """The sample with the full name of its hold."""
    if len(hold) > MAX_HOLD_ID:
        violations.append(_violation(("hold_id",), f"hold_id has more than {MAX_OWN_HOLD_ID} characters", pointers))
        return None
    named = UsageSample(id=sample.id, time=sample.time, amounts=sample.amounts, hold_id=hold)
    return Entry(source, named, pointers[""])


def _violation(location: Sequence[int | str], message: str, pointers: dict[str, str]) -> Violation:
    names = [str(part) for part in location if part != "[key]"]
    if names and names[0] in pointers:
        return violation(pointers[names[0]], message)
    return violation("/".join([pointers[""], *names]), message)


def _object(value: Any, pointer: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise invalid(pointer, "must be a JSON object")
    return value


def _text(document: dict[str, Any], field: str, pointer: str, default: str | None = None) -> str:
    value = document.get(field, default)
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_REQUIRED or not is_printable(value):
        raise invalid(f"{pointer}/{field}", f"{field} must be 1 to {MAX_REQUIRED} characters, none a control character")
    return value


def by_source(entries: Sequence[Entry]) -> dict[str, dict[str, UsageSample]]:
    """Samples by source and id: identity is (tenant, source, id), and of two with the same one the first counts."""
    grouped: dict[str, dict[str, UsageSample]] = {}
    for entry in entries:
        grouped.setdefault(entry.source, {}).setdefault(entry.sample.id, entry.sample)
    return grouped
