"""Text of people and of outside programs, as a constraint on fields: what could not be kept or shown is not taken.

Postgres keeps no NUL, and a record that a reader cannot keep stops the reader; other control characters forge lines in
logs and terminals. CloudEvents 1.0 (type system, String) forbids them in attributes as well.

Writers and admission refuse such text. Readers of the log mend it: `LENIENT` as the validation context replaces each
character that is not allowed and cuts what is too long, because an event that was written cannot be refused any more.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler, ValidationInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticKnownError, core_schema

CONTROLS = r"\u0000-\u001f\u007f-\u009f\u2028\u2029"
"""C0, DEL, C1, and the two Unicode separators that end a line; as in a character class."""
CONTROLS_BUT_BREAKS = r"\u0000-\u0008\u000b-\u001f\u007f-\u009f\u2028\u2029"
"""The same without tab and line feed."""
SURROGATES = r"\ud800-\udfff"
"""JSON can spell a lone one; no encoding can write it."""
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

LENIENT: Mapping[str, bool] = {"lenient": True}
"""Validation context of readers."""

_OF_A_LINE = re.compile(f"[{CONTROLS}{SURROGATES}]")
_OF_A_TEXT = re.compile(f"[{CONTROLS_BUT_BREAKS}{SURROGATES}]")


def is_printable(text: str) -> bool:
    """Whether the text is one line without control characters."""
    return _OF_A_LINE.search(text) is None


def mended(text: str, longest: int) -> str:
    """The text as one line of up to `longest` characters, each control character replaced."""
    return _OF_A_LINE.sub(REPLACEMENT, text)[:longest]


@dataclass(frozen=True, slots=True)
class Text:
    """Constraint on a `str` field: its length, and no control characters."""

    longest: int
    """Characters."""
    shortest: int = 0
    """Characters."""
    may_break: bool = False
    """Whether tabs and line feeds are allowed: in a description, not in what becomes part of a sentence."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.with_info_after_validator_function(self._check, handler(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        controls = CONTROLS_BUT_BREAKS if self.may_break else CONTROLS
        lengths = {"minLength": self.shortest} if self.shortest else {}
        return handler(schema) | lengths | {"maxLength": self.longest, "pattern": f"^[^{controls}]*$"}

    def _check(self, text: str, info: ValidationInfo) -> str:
        forbidden = _OF_A_TEXT if self.may_break else _OF_A_LINE
        if info.context is LENIENT:
            return forbidden.sub(REPLACEMENT, text)[: self.longest]
        if len(text) > self.longest:
            raise PydanticKnownError("string_too_long", {"max_length": self.longest})
        if len(text) < self.shortest:
            raise PydanticKnownError("string_too_short", {"min_length": self.shortest})
        if found := forbidden.search(text):
            where = {"code": f"U+{ord(found[0]):04X}", "place": found.start() + 1}
            raise PydanticCustomError("control_character", "Text must not hold {code}, its character {place}", where)
        return text
