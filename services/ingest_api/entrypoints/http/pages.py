"""Pages of lists: `limit`, `cursor`, and the link to the next one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request
from pydantic import BaseModel

from services.ingest_api.domain import cursor
from services.ingest_api.ports import Page

ItemT = TypeVar("ItemT")


class Listing(BaseModel, Generic[ItemT]):
    """One page of a list."""

    items: list[ItemT]
    next: str | None
    """Path and query of the next page; null on the last."""


async def _page(
    limit: Annotated[int, Query(ge=1, le=500, description="Items on the page.")] = 50,
    cursor_text: Annotated[str | None, Query(alias="cursor", max_length=500, description="From `next`.")] = None,
) -> Page:
    return Page(limit, cursor.decode(cursor_text))


Paged = Annotated[Page, Depends(_page)]


def listing(request: Request, page: Page, items: Sequence[ItemT], sort_key: Callable[[ItemT], str]) -> Listing[ItemT]:
    """The page of `items`. A full one has a next, which may turn out to be empty."""
    following = None
    if len(items) == page.limit:
        query = dict(request.query_params) | {"limit": str(page.limit), "cursor": cursor.encode(sort_key(items[-1]))}
        following = f"{request.url.path}?{urlencode(query)}"
    return Listing(items=list(items), next=following)
