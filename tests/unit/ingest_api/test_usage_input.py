"""Usage as callers send it: every form is read, every wrong field is named."""

from __future__ import annotations

import json
from contextlib import suppress
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.base import MAX_AHEAD
from schemas.usage import MAX_OWN_HOLD_ID
from services.ingest_api.domain.problems import Problem
from services.ingest_api.domain.usage_input import BATCH, FUTURE, PLAIN, SAMPLE_TYPE, SINGLE, by_source, read_usage
from tests.fakes.ingest_api.builders import NOW, TENANT

SAMPLE = {"id": "a", "time": NOW.isoformat(), "amounts": {"input_tokens": 3}}
EVENT = {
    "specversion": "1.0",
    "type": SAMPLE_TYPE,
    "source": "/gw",
    "id": "a",
    "time": NOW.isoformat(),
    "data": {"amounts": {"input_tokens": 3}, "hold_id": "h"},
}


def read(media_type: str, document: Any) -> list[tuple[str, str]]:
    """Source and id of each sample."""
    entries = read_usage(media_type, json.dumps(document).encode(), TENANT, NOW)
    return [(entry.source, entry.sample.id) for entry in entries]


def pointers(media_type: str, document: Any) -> list[str]:
    """What the problem names."""
    with pytest.raises(Problem) as caught:
        read(media_type, document)
    return [violation.pointer for violation in caught.value.errors]


def test_all_forms_are_read() -> None:
    assert read(PLAIN, {"samples": [SAMPLE]}) == [("/api/v1/usage", "a")]
    assert read(PLAIN, {"samples": [SAMPLE], "source": "/x", "tenant_id": str(TENANT)}) == [("/x", "a")]
    assert read(SINGLE, EVENT) == [("/gw", "a")]
    assert read(BATCH, [EVENT, EVENT | {"source": "/other"}]) == [("/gw", "a"), ("/other", "a")]


@pytest.mark.parametrize(
    ("media_type", "document", "expected"),
    [
        (PLAIN, [SAMPLE], [""]),
        (PLAIN, {}, ["/samples"]),
        (PLAIN, {"samples": []}, ["/samples"]),
        (PLAIN, {"samples": [SAMPLE], "sample": 1}, ["/sample"]),
        (PLAIN, {"samples": [SAMPLE], "source": "a\nb"}, ["/source"]),
        (PLAIN, {"samples": [SAMPLE], "tenant_id": str(UUID(int=9))}, ["/tenant_id"]),
        (PLAIN, {"samples": [SAMPLE | {"id": ""}, SAMPLE | {"amounts": {}}]}, ["/samples/0/id", "/samples/1/amounts"]),
        (PLAIN, {"samples": [SAMPLE | {"amounts": {"input_tokens": 1.5}}]}, ["/samples/0/amounts/input_tokens"]),
        (PLAIN, {"samples": [SAMPLE | {"amounts": {"input_tokens": 2**53 + 1}}]}, ["/samples/0/amounts/input_tokens"]),
        (PLAIN, {"samples": [SAMPLE | {"time": "2026-03-01T12:00:00"}]}, ["/samples/0/time"]),
        (PLAIN, {"samples": [SAMPLE | {"time": "2019-12-31T23:59:59Z"}]}, ["/samples/0/time"]),
        (PLAIN, {"samples": [SAMPLE | {"id": "a\0"}, SAMPLE | {"id": "a\n"}]}, ["/samples/0/id", "/samples/1/id"]),
        (PLAIN, {"samples": [SAMPLE | {"hold_id": "h" * (MAX_OWN_HOLD_ID + 1)}]}, ["/samples/0/hold_id"]),
        (PLAIN, {"samples": [SAMPLE | {"hold_id": ""}]}, ["/samples/0/hold_id"]),
        (PLAIN, {"samples": [SAMPLE | {"hold_id": "\x7f"}]}, ["/samples/0/hold_id"]),
        (SINGLE, EVENT | {"id": "\x1b[2J"}, ["/id"]),
        (SINGLE, EVENT | {"time": "1970-01-01T00:00:00Z"}, ["/time"]),
        (SINGLE, EVENT | {"source": "/gw\0"}, ["/source"]),
        (PLAIN, {"samples": [7]}, ["/samples/0"]),
        (SINGLE, EVENT | {"specversion": "0.3"}, ["/specversion"]),
        (SINGLE, EVENT | {"type": "other"}, ["/type"]),
        (SINGLE, EVENT | {"source": None}, ["/source"]),
        (SINGLE, EVENT | {"data": None}, ["/data"]),
        (SINGLE, EVENT | {"tenantid": str(UUID(int=9))}, ["/tenantid"]),
        (BATCH, EVENT, [""]),
        (BATCH, [EVENT, EVENT | {"id": ""}], ["/1/id"]),
        (BATCH, [EVENT, 7], ["/1"]),
    ],
)
def test_what_is_wrong_is_named(media_type: str, document: Any, expected: list[str]) -> None:
    assert pointers(media_type, document) == expected


def test_the_clocks_may_differ_but_by_less_than_metering_allows() -> None:
    assert FUTURE < MAX_AHEAD
    just, over = NOW + FUTURE, NOW + FUTURE + timedelta(seconds=1)
    assert read(PLAIN, {"samples": [SAMPLE | {"time": just.isoformat()}]})
    assert pointers(PLAIN, {"samples": [SAMPLE | {"time": over.isoformat()}]}) == ["/samples/0/time"]


def test_a_hold_goes_by_its_name_on_the_whole_platform() -> None:
    for own in ("h" * MAX_OWN_HOLD_ID, f"{TENANT}:{'h' * MAX_OWN_HOLD_ID}"):
        [entry] = read_usage(PLAIN, json.dumps({"samples": [SAMPLE | {"hold_id": own}]}).encode(), TENANT, NOW)
        assert entry.sample.hold_id == f"{TENANT}:{'h' * MAX_OWN_HOLD_ID}"


@given(st.binary(max_size=300))
def test_any_bytes_are_samples_or_a_problem(body: bytes) -> None:
    for media_type in (PLAIN, SINGLE, BATCH):
        with suppress(Problem):
            assert read_usage(media_type, body, TENANT, NOW)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*EVENT, "amounts"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_samples_or_a_problem(document: Any) -> None:
    for media_type, whole in ((PLAIN, {"samples": [document]}), (SINGLE, document), (BATCH, [document])):
        with suppress(Problem):
            assert read(media_type, whole)


def test_of_two_samples_with_one_identity_the_first_counts() -> None:
    body = {"samples": [SAMPLE, SAMPLE | {"amounts": {"input_tokens": 9}}, SAMPLE | {"id": "b"}]}
    grouped = by_source(read_usage(PLAIN, json.dumps(body).encode(), TENANT, NOW))
    assert {sample.id: sum(sample.amounts.values()) for sample in grouped["/api/v1/usage"].values()} == {"a": 3, "b": 3}
