"""Opaque cursors of lists: where the next page begins, so that what is added meanwhile moves nothing."""

from __future__ import annotations

import base64
import binascii

from services.ingest_api.domain.problems import invalid


def encode(after: str) -> str:
    """The cursor of the page behind the item with the sort key `after`."""
    return base64.urlsafe_b64encode(after.encode()).rstrip(b"=").decode()


def decode(cursor: str | None) -> str | None:
    """The sort key in a cursor of ours; raises `Problem`."""
    if cursor is None:
        return None
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        text = base64.b64decode(padded, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeError):
        raise invalid("", "cursor: use the `next` link of a list, unchanged") from None
    if "\x00" in text:
        raise invalid("", "cursor: use the `next` link of a list, unchanged")
    return text
