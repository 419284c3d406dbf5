"""The base of every contract model, and the registry that maps a CloudEvents `type` to its model.

Writers and admission forbid unknown fields and unprintable text; readers of `*.events` ignore the one and mend the
other. One model serves both: strict by default, lenient where `parse_data(..., lenient=True)` is asked for.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from schemas.errors import UnknownEventTypeError
from schemas.text import Text

Name = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]
"""A name that people choose: a DNS label (RFC 1123) that may contain dots."""

Milli = Annotated[int, Field(ge=0, le=10**12)]
"""An amount in thousandths (of a GPU, of a CPU core)."""

Reason = Annotated[str, Text(2000)]
"""A sentence for people: why something was decided or asked for."""

GivenReason = Annotated[str, Text(2000, shortest=1)]
"""A reason that whoever asks must give."""

Word = Annotated[str, Text(253)]
"""A name that others chose, such as a node's, a policy's or a GPU model's."""

MAX_KEY_ID = 128
"""Characters of a producer key's id."""
KeyId = Annotated[str, Text(MAX_KEY_ID, shortest=1)]
"""The `kid` of a producer key."""

Timestamp = AwareDatetime
"""A point in time with its offset; written in UTC."""

MAX_AHEAD = timedelta(minutes=5)
"""How far after its log-append time what a record from outside tells may lie: clocks differ, and nobody is from the
future."""


class ContractModel(BaseModel):
    """A frozen value of the contract; unknown fields are errors unless the reader asks for leniency."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class EventData(ContractModel):
    """The `data` of one CloudEvent. Every concrete subclass names its `type` and is registered by it."""

    type: ClassVar[str]
    """CloudEvents `type`, with its major version, such as `taxiway.deployment.requested.v1`."""
    topic: ClassVar[str]
    """The topic that events of this type travel on."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "type" in cls.__dict__:
            _REGISTRY[cls.type] = cls

    @property
    def key(self) -> str:
        """The record key: what must stay in order. Each domain's base class says what it is."""
        raise NotImplementedError


_REGISTRY: dict[str, type[EventData]] = {}

EventT = TypeVar("EventT", bound=EventData)


def event_types() -> dict[str, type[EventData]]:
    """All registered models by their CloudEvents type, in alphabetical order."""
    return dict(sorted(_REGISTRY.items()))


def model_for(event_type: str) -> type[EventData]:
    """The model of `event_type`; raises `UnknownEventTypeError` when no such type is registered."""
    try:
        return _REGISTRY[event_type]
    except KeyError:
        raise UnknownEventTypeError(event_type) from None
