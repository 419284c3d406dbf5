"""A record is an event or a ContractError that names the header; never anything else, whatever a stranger sends."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.envelope import MAX_EXTENSION, MAX_REQUIRED, REQUIRED, decode, encode, header_text, read_attributes
from schemas.errors import ContractError, EnvelopeError, SchemaError, UnknownEventTypeError
from tests.unit.kit.events import NOON, node_removed

GOOD = {
    "ce_specversion": b"1.0",
    "ce_id": b"1",
    "ce_source": b"/ci",
    "ce_type": b"taxiway.node.removed.v1",
    "ce_time": b"2026-03-01T12:00:00Z",
}
VALUE = b'{"node": "n", "reason": "drained"}'


def headers(**changes: bytes | None) -> list[tuple[str, bytes | None]]:
    """Those of a good record, but for `changes`; None leaves one out."""
    wanted = GOOD | {f"ce_{name}": value for name, value in changes.items()}
    return [(name, value) for name, value in wanted.items() if value is not None]


def test_what_is_encoded_is_decoded_to_the_same() -> None:
    event = node_removed("node-1")
    value, encoded = encode(event)
    assert decode(encoded, value) == event
    assert header_text(encoded, "content-type") == "application/json"
    assert header_text(encoded, "ce_specversion") == "1.0"


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_attribute_that_is_missing_or_empty_is_named(name: str) -> None:
    for value in (None, b""):
        with pytest.raises(EnvelopeError) as wrong:
            read_attributes(headers(**{name: value}))
        assert wrong.value.pointer == f"ce_{name}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("specversion", b"0.3"),
        ("time", b"yesterday"),
        ("time", b"2026-03-01T12:00:00"),
        ("time", b"9999-12-31T23:59:59-14:00"),
        ("sequence", "²".encode()),
        ("sequence", b"-1"),
        ("sequence", b""),
        ("sequence", b"9" * 19),
        ("sequence", b"1" * 5000),
        ("id", b"\0"),
        ("source", b"/a\nb"),
        ("actor", b"\x7f"),
        ("tenantid", b"\xff"),
        ("id", b"x" * (MAX_REQUIRED + 1)),
        ("correlationid", b"x" * (MAX_EXTENSION + 1)),
    ],
)
def test_a_malformed_attribute_is_named(name: str, value: bytes) -> None:
    with pytest.raises(EnvelopeError, match=f"ce_{name}"):
        read_attributes(headers(**{name: value}))


def test_a_time_is_read_in_any_offset_and_kept_in_utc() -> None:
    read = read_attributes(headers(time=b"2026-03-01T14:00:00.5+02:00"))
    assert read.time == NOON + timedelta(seconds=0.5)
    assert read.time.tzinfo is UTC


def test_a_sequence_is_padded_or_not() -> None:
    assert read_attributes(headers(sequence=b"00000000000000000017")).sequence == 17
    assert read_attributes(headers(sequence=b"17")).sequence == 17
    assert read_attributes(headers()).sequence is None


def test_the_last_of_a_header_counts() -> None:
    assert read_attributes([*headers(), ("ce_id", b"2")]).id == "2"


def test_readers_pass_over_fields_they_do_not_know_and_admission_does_not() -> None:
    newer = b'{"node": "n", "reason": "drained", "since": 2}'
    assert decode(headers(), newer).data == decode(headers(), VALUE).data
    with pytest.raises(SchemaError, match="/since"):
        decode(headers(), newer, lenient=False)


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"[]", b"{", b'{"node": 7}', b"[" * 100_000])
def test_a_value_that_does_not_fit_is_a_schema_error(value: bytes | None) -> None:
    with pytest.raises(SchemaError):
        decode(headers(), value)


def test_a_type_that_nobody_knows_is_its_own_error() -> None:
    with pytest.raises(UnknownEventTypeError):
        decode(headers(type=b"taxiway.node.married.v1"), VALUE)


@given(st.lists(st.tuples(st.sampled_from([*GOOD, "ce_sequence", "ce_tenantid"]), st.binary(max_size=40))), st.binary())
def test_any_bytes_are_an_event_or_a_contract_error(changes: list[tuple[str, bytes]], value: bytes) -> None:
    with suppress(ContractError):
        decode([*headers(), *changes], value)


@given(
    st.datetimes(timezones=st.timedeltas(timedelta(hours=-14), timedelta(hours=14)).map(timezone)),
)
def test_any_time_is_read_as_the_same_moment_or_refused(moment: datetime) -> None:
    try:
        read = read_attributes(headers(time=moment.isoformat().encode()))
    except EnvelopeError:
        return
    assert read.time == moment
