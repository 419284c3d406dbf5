"""What can be wrong with a record, as a tree.

    ContractError
    ├── EnvelopeError        a CloudEvents attribute is missing or malformed
    ├── SchemaError          the data does not fit the model of its type
    ├── UnknownEventTypeError no model is registered for the type
    └── SignatureError       the detached signature is missing, malformed, by an unknown key, or wrong

Each carries `code` (stable, goes into dead letters and problem documents) and a message that says what to do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class ContractError(Exception):
    """A record that breaks the contract; it is never retried, because it will never be right."""

    code = "contract"

    def __init__(self, message: str, pointer: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.pointer = pointer
        """JSON pointer to the offending field, or the name of the header; empty when the whole record is meant."""


class EnvelopeError(ContractError):
    """A required CloudEvents attribute is missing, or one does not parse."""

    code = "envelope"


class SchemaError(ContractError):
    """The record's value is not JSON, or does not fit the model of its type."""

    code = "schema"


class UnknownEventTypeError(ContractError):
    """No model is registered for this CloudEvents type, or its reader does not take it from outside."""

    code = "unknown-type"

    def __init__(self, event_type: str) -> None:
        super().__init__(
            f"event type {event_type!r} is not taken here; see schemas/jsonschema for the known types", "ce_type"
        )


class SignatureError(ContractError):
    """The record does not verify against a registered producer key."""

    code = "signature"


class FieldError(ValueError):
    """A check over several fields of a model failed, by the fault of one of them.

    Pydantic gives such an error the place of the whole model; `place_of` finds the field again.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field
        """Name of the field within the model."""


def place_of(found: Mapping[str, Any]) -> tuple[str | int, ...]:
    """Where in the document one of pydantic's errors lies, down to the field that a `FieldError` names."""
    cause = found.get("ctx", {}).get("error")
    return (*found["loc"], cause.field) if isinstance(cause, FieldError) else tuple(found["loc"])
