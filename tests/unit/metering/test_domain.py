"""The rules of counting, refusing and announcing, without anything around them."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from schemas.quota import QuotaExceeded, QuotaThresholdReached
from schemas.tenant import Limit, Meter, ProducerScope, Window
from schemas.usage import EARLIEST, MAX_RECORD_BYTES, UsageReported, UsageSample
from services.kit.quota.model import DUPLICATES as KIT_DUPLICATES
from services.metering.domain import admission
from services.metering.domain.errors import ForeignTenantError, RecordTooLargeError, SampleTimeError
from services.metering.domain.model import NOTHING, LimitedUse, Producer, Report, Total, TotalKey, higher, window_start
from services.metering.domain.thresholds import notices
from services.metering.domain.totals import DUPLICATES, advance, increments, samples_of
from tests.fakes.metering.records import NOON, sample

TENANT = UUID(int=101)


def report(*samples: UsageSample, partition: int = 3, offset: int = 10) -> Report:
    return Report(TENANT, "signer /gateway", samples, partition, offset, "event")


def key(meter: str, window: Window = Window.DAY, start: date = NOON.date()) -> TotalKey:
    return TotalKey(TENANT, meter, window, start, 3)


def test_accepted_samples_add_to_day_and_month_and_duplicates_are_counted_apart() -> None:
    added = increments(report(sample(1, tokens=5), sample(2, tokens=6)), {"sample-1"})
    month = date(2026, 3, 1)
    assert added == {
        key("input_tokens"): 5,
        key("input_tokens", Window.MONTH, month): 5,
        key("api_calls"): 1,
        key("api_calls", Window.MONTH, month): 1,
        key("duplicates"): 1,
        key("duplicates", Window.MONTH, month): 1,
    }


def test_a_sample_counts_in_the_utc_day_of_its_time() -> None:
    west = timezone(timedelta(hours=-8))
    late = sample(1, at=datetime(2026, 3, 31, 20, tzinfo=west))
    days = {total.window_start for total in increments(report(late), {"sample-1"})}
    assert days == {date(2026, 4, 1)}


def test_windows_start_with_their_first_day() -> None:
    assert window_start(Window.DAY, NOON) == date(2026, 3, 14)
    assert window_start(Window.MONTH, NOON) == date(2026, 3, 1)


def test_the_meter_of_duplicates_is_the_one_that_others_read() -> None:
    assert DUPLICATES == KIT_DUPLICATES
    assert DUPLICATES not in set(Meter)


def test_samples_of_a_total_are_those_of_its_meter_and_window() -> None:
    here, elsewhere = sample(1), sample(2, at=NOON + timedelta(days=1))
    tokens_only = UsageSample(id="t", time=NOON, amounts={Meter.INPUT_TOKENS: 1})
    assert list(samples_of(report(here, elsewhere, tokens_only), key("api_calls"))) == [here]


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 2**53)), max_size=30))
def test_whatever_is_delivered_again_each_offset_counts_once(deliveries: list[tuple[int, int]]) -> None:
    """Kafka redelivers from an earlier offset on, in order; the first amount of an offset is the amount."""
    amounts = dict(reversed(deliveries))
    place = key("api_calls")
    state: dict[TotalKey, Total] = {}
    reached = -1
    for offset in sorted(amounts):
        for again in range(max(0, offset - 2), offset + 1):
            if again in amounts:
                state = advance(state, {place: amounts[again]}, again)
                reached = max(reached, again)
                assert state[place].hi == reached
    assert state.get(place, NOTHING).total == sum(amounts.values())


@given(st.integers(-1, 50), st.integers(-1, 50))
def test_the_higher_total_is_the_one_that_counts_further(first: int, second: int) -> None:
    assert higher(Total(1, first), Total(2, second)).hi == max(first, second)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_thresholds_are_told_exactly_from_their_share_on(limit: int, settled: int) -> None:
    use = LimitedUse(Limit(meter=Meter.API_CALLS, window=Window.DAY, amount=limit), NOON.date(), settled)
    said = notices(TENANT, use)
    told = {event.percent for event in said.values() if isinstance(event, QuotaThresholdReached)}
    assert told == {percent for percent in (75, 90, 100) if settled and settled * 100 >= limit * percent}
    assert any(isinstance(event, QuotaExceeded) for event in said.values()) == (settled > limit)
    assert all((event.limit, event.settled) == (limit, settled) for event in said.values())


def test_a_notice_names_the_start_of_its_window() -> None:
    use = LimitedUse(Limit(meter=Meter.API_CALLS, window=Window.MONTH, amount=1), date(2026, 3, 1), 5)
    assert {event.window_start for event in notices(TENANT, use).values()} == {datetime(2026, 3, 1, tzinfo=UTC)}


def test_size_is_checked_to_the_byte() -> None:
    admission.check_size(b"x" * MAX_RECORD_BYTES)
    with pytest.raises(RecordTooLargeError):
        admission.check_size(b"x" * (MAX_RECORD_BYTES + 1))


@pytest.mark.parametrize(
    ("scope", "owner", "claimed", "is_allowed"),
    [
        (ProducerScope.TENANT, TENANT, None, True),
        (ProducerScope.TENANT, TENANT, str(TENANT), True),
        (ProducerScope.TENANT, UUID(int=5), None, False),
        (ProducerScope.PLATFORM, UUID(int=0), str(TENANT), True),
        (ProducerScope.PLATFORM, UUID(int=0), str(UUID(int=5)), False),
        (ProducerScope.TENANT, TENANT, str(UUID(int=5)), False),
    ],
)
def test_who_may_report_for_whom(scope: ProducerScope, owner: UUID, claimed: str | None, is_allowed: bool) -> None:
    producer = Producer("key", owner, "public", scope)
    data = UsageReported(tenant_id=TENANT, samples=(sample(1),))
    if is_allowed:
        admission.check_tenant(producer, data, claimed)
    else:
        with pytest.raises(ForeignTenantError):
            admission.check_tenant(producer, data, claimed)


@pytest.mark.parametrize(
    ("scope", "owner", "speaker"),
    [
        (ProducerScope.TENANT, TENANT, TENANT),
        (ProducerScope.API, UUID(int=0), TENANT),
        (ProducerScope.PLATFORM, UUID(int=0), UUID(int=0)),
    ],
)
def test_whose_word_a_report_is(scope: ProducerScope, owner: UUID, speaker: UUID) -> None:
    producer = Producer("key", owner, "public", scope)
    assert admission.speaker(producer, UsageReported(tenant_id=TENANT, samples=(sample(1),))) == speaker


@pytest.mark.parametrize(
    ("at", "is_allowed"),
    [
        (NOON + timedelta(minutes=5), True),
        (NOON + timedelta(minutes=5, microseconds=1), False),
        (NOON - timedelta(days=400), True),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-12))), False),
    ],
)
def test_when_samples_may_lie(at: datetime, is_allowed: bool) -> None:
    data = UsageReported(tenant_id=TENANT, samples=(sample(1), sample(2, at=at)))
    if is_allowed:
        admission.check_times(data, NOON)
    else:
        with pytest.raises(SampleTimeError) as refused:
            admission.check_times(data, NOON)
        assert refused.value.pointer == "/samples/1/time"


@pytest.mark.parametrize(
    "at", [EARLIEST - timedelta(microseconds=1), datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=14)))]
)
def test_nothing_was_measured_before_the_beginning(at: datetime) -> None:
    assert sample(1, at=EARLIEST)
    with pytest.raises(ValidationError):
        sample(1, at=at)


@pytest.mark.parametrize("text", ["\0", "a\nb", "\ud800", "", "x" * 129])
def test_text_that_cannot_be_kept_is_no_identity(text: str) -> None:
    for fields in ({"id": text}, {"id": "größe", "hold_id": text}):
        with pytest.raises(ValidationError):
            UsageSample(time=NOON, amounts={Meter.API_CALLS: 1}, **fields)
