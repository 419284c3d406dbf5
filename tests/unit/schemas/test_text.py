"""What text the contract takes, and what its readers make of text that was written before it was refused."""

from __future__ import annotations

import re
import unicodedata
from typing import Annotated, Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from schemas.catalogue import event_types
from schemas.deployment import DeploymentCancelled
from schemas.envelope import Event, decode, encode, parse_data, read_attributes
from schemas.errors import EnvelopeError, SchemaError
from schemas.text import LENIENT, Text, is_printable, mended
from tests.fakes.ingest_api.builders import NOW

LINE: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(20)])
DESCRIPTION: TypeAdapter[str] = TypeAdapter(Annotated[str, Text(20, may_break=True)])
ABOUT = UUID(int=3)
any_text = st.text(st.characters(), max_size=30)


@given(any_text)
def test_a_line_holds_nothing_that_cannot_be_kept_or_shown(text: str) -> None:
    try:
        taken = LINE.validate_python(text)
    except ValidationError:
        assert len(text) > 20 or not is_printable(text)
    else:
        assert taken == text
        assert {unicodedata.category(letter) for letter in taken}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})


@given(any_text)
def test_who_reads_leniently_reads_everything(text: str) -> None:
    for kind in (LINE, DESCRIPTION):
        read = kind.validate_python(text, context=LENIENT)
        assert kind.validate_python(read) == read
    if len(text) <= 20 and is_printable(text):
        assert LINE.validate_python(text, context=LENIENT) == text


@given(any_text)
def test_the_json_schema_says_what_the_model_does(text: str) -> None:
    for kind in (LINE, DESCRIPTION):
        schema = kind.json_schema()
        # ECMA 262 knows no `$` before a final line feed, which Python does
        fits = len(text) <= schema["maxLength"] and re.fullmatch(schema["pattern"][1:-1], text) is not None
        try:
            kind.validate_python(text)
        except ValidationError:
            is_taken = False
        else:
            is_taken = True
        assert is_taken == (fits and not re.search("[\ud800-\udfff]", text))


def test_a_refusal_names_character_and_place() -> None:
    with pytest.raises(ValidationError, match=r"must not hold U\+0000, its character 3"):
        LINE.validate_python("ab\0")
    assert DESCRIPTION.validate_python("a\n\tb") == "a\n\tb"
    with pytest.raises(ValidationError, match=r"U\+000D"):
        DESCRIPTION.validate_python("a\r\n")


def test_mended_text_is_one_line() -> None:
    assert mended("a\0b\nc\ud800" + "d" * 20, 7) == "a\ufffdb\ufffdc\ufffdd"


@pytest.mark.parametrize("bad", ["\0", "\x1b", "\x85", "\u2028"])
def test_what_stands_on_the_log_already_is_read_by_readers_and_refused_from_outside(bad: str) -> None:
    # given an event that was written before its text was looked at
    value = f'{{"deployment_id": "{ABOUT}", "reason": "be{_escaped(bad)}cause"}}'.encode()
    # then
    read = parse_data(DeploymentCancelled.type, value, lenient=True)
    assert isinstance(read, DeploymentCancelled)
    assert read.reason == "be\ufffdcause"
    with pytest.raises(SchemaError) as refused:
        parse_data(DeploymentCancelled.type, value, lenient=False)
    assert refused.value.pointer == "/reason"


def _escaped(letter: str) -> str:
    return f"\\u{ord(letter):04x}"


@pytest.mark.parametrize("name", ["id", "source", "actor", "correlationid", "causationid", "traceparent", "tenantid"])
def test_attributes_are_text_too(name: str) -> None:
    # given
    data = DeploymentCancelled(deployment_id=ABOUT, reason="because")
    value, headers = encode(Event("1", "/x", NOW, data, "t", "user:ann", "c", "c", None, "p"))
    bad = [(key, b"a\0b" if key == f"ce_{name}" else content) for key, content in headers]
    # then
    with pytest.raises(EnvelopeError) as refused:
        read_attributes(bad)
    assert refused.value.pointer == f"ce_{name}"
    with pytest.raises(EnvelopeError):
        decode(bad, value, lenient=False)
    assert "a\ufffdb" in vars_of(decode(bad, value))


def vars_of(event: Event[Any]) -> list[object]:
    """Attributes of the envelope."""
    return [getattr(event, name) for name in Event.__slots__]


def test_an_attribute_without_end_is_not_taken_from_outside() -> None:
    data = DeploymentCancelled(deployment_id=ABOUT, reason="because")
    value, headers = encode(Event("1", "/x", NOW, data, traceparent="p" * 600))
    with pytest.raises(EnvelopeError):
        decode(headers, value, lenient=False)
    assert decode(headers, value).traceparent == "p" * 600


def test_no_text_of_the_contract_is_without_bounds() -> None:
    """Every string in every schema has a greatest length, a format, a pattern of its own, or a closed set of values."""
    loose = {
        f"{kind}{path}"
        for kind, model in event_types().items()
        if model.__module__.startswith("schemas.")
        for path, schema in strings_of(model.model_json_schema())
        if not schema.keys() & {"maxLength", "format", "enum", "const"}
    }
    assert loose == set()


def strings_of(schema: object, path: str = "") -> list[tuple[str, dict[str, object]]]:
    """Every schema of a string in `schema`, and where it stands."""
    if isinstance(schema, list):
        return [found for number, item in enumerate(schema) for found in strings_of(item, f"{path}/{number}")]
    if not isinstance(schema, dict):
        return []
    here = [(path, schema)] if schema.get("type") == "string" else []
    return here + [found for name, item in schema.items() for found in strings_of(item, f"{path}/{name}")]
