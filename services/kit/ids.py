"""Identities are UUIDv7 (RFC 9562): unique without a coordinator, and sorted by the time they were made."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

import uuid_utils

IdFactory = Callable[[], UUID]
"""Makes a new identity at each call; injected, so that tests can number them."""


def new_id() -> UUID:
    """A fresh UUIDv7."""
    return UUID(bytes=uuid_utils.uuid7().bytes)
