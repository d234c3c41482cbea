"""The values that flow through the sink."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.errors import EventError
from inbox.events import (
    Ending,
    Event,
    Settlement,
    TopicPartition,
    address_of,
    decoded,
    event_from,
    last_header,
    milliseconds_until,
    record_milliseconds,
    record_time,
)
from tests.support.records import record


def test_an_event_carries_what_its_record_has() -> None:
    event_id = uuid4()
    it = record(7, topic="orders", partition=3, key=b"k", value=b'{"a": 1}', headers=[("type", b"A"), ("none", None)])
    assert event_from(it, event_id.bytes, "A") == Event(
        id=event_id,
        type="A",
        topic="orders",
        partition=3,
        offset=7,
        timestamp=datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
        key=b"k",
        value=b'{"a": 1}',
        headers=(("type", b"A"), ("none", None)),
    )


def test_an_event_prints_its_address_as_topic_partition_and_offset() -> None:
    assert event_from(record(1842, partition=3), UUID(int=1).bytes, None).address == "orders[3]@1842"
    assert address_of(record(1842, partition=3)) == "orders[3]@1842"
    assert str(TopicPartition("orders", 3)) == "orders[3]"


def test_a_record_without_headers_is_an_event_without_headers() -> None:
    assert event_from(record(headers=[]), UUID(int=1).bytes, None).headers == ()


def test_of_headers_of_one_name_the_last_counts() -> None:
    event = event_from(record(headers=[("a", b"1"), ("b", b"2"), ("a", b"3")]), UUID(int=1).bytes, None)
    assert event.header("a") == b"3"
    assert event.header("c") is None
    assert last_header((("a", b"1"), ("a", None)), "a") is None


@given(milliseconds=st.integers(0, 253_402_300_799_999))
def test_a_timestamp_is_kept_to_the_millisecond(milliseconds: int) -> None:
    expected = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds)
    assert record_time(record(milliseconds=milliseconds)) == expected


@pytest.mark.parametrize("milliseconds", [None, -1, -2, -62_135_596_800_000])
def test_a_record_without_a_timestamp_has_none(milliseconds: int | None) -> None:
    """Kafka's log says -1 where there is none, and librdkafka then still calls it a CreateTime."""
    it = record(milliseconds=milliseconds)

    assert record_time(it) is None
    assert record_milliseconds(it) is None
    assert event_from(it, UUID(int=1).bytes, None).timestamp is None


def test_the_first_millisecond_of_1970_is_a_timestamp() -> None:
    assert record_time(record(milliseconds=0)) == datetime(1970, 1, 1, tzinfo=UTC)


@given(milliseconds=st.integers(0, 253_402_300_799_999), microseconds=st.integers(-999, 0))
def test_the_first_millisecond_at_or_after_a_time_is_exact(milliseconds: int, microseconds: int) -> None:
    time = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=milliseconds, microseconds=microseconds)
    assert milliseconds_until(time) == milliseconds


@pytest.mark.parametrize(
    "before", ["1969-12-31T23:59:59.999+00:00", "1969-12-31T23:59:59.998+00:00", "0001-01-01T00:00:00+00:00"]
)
def test_a_time_before_1970_is_none_of_the_negative_numbers_that_are_words_in_kafka(before: str) -> None:
    assert milliseconds_until(datetime.fromisoformat(before)) == 0


@pytest.mark.parametrize("milliseconds", [1_700_000_000_000_000, 1_700_000_000_000_000_000, 2**63 - 1])
def test_a_timestamp_that_no_calendar_holds_is_none_so_that_its_event_can_still_be_parked(milliseconds: int) -> None:
    """Some producers write microseconds or nanoseconds where Kafka wants milliseconds."""
    assert record_time(record(milliseconds=milliseconds)) is None


def test_a_null_value_is_no_json() -> None:
    with pytest.raises(EventError, match="the value is null where JSON is needed"):
        decoded(None)


@pytest.mark.parametrize("value", [b"", b"{", b"secret", b'{"a": NaN}', b'"\xff"', b"[1,]"])
def test_what_is_no_json_is_refused_without_showing_it(value: bytes) -> None:
    with pytest.raises(EventError, match=r"the value is not valid JSON: .* at character") as refused:
        decoded(value)
    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_an_event_is_decoded_as_json() -> None:
    assert event_from(record(value=b'{"a": [1, null]}'), UUID(int=1).bytes, None).json() == {"a": [1, None]}


@given(st.lists(st.builds(Settlement, *[st.integers(0, 1000)] * 4), max_size=5))
def test_settlements_add_up_ending_by_ending(parts: list[Settlement]) -> None:
    total = Settlement()
    for part in parts:
        total.add(part)
    assert total.by_ending() == {ending: sum(part.by_ending()[ending] for part in parts) for ending in Ending}
    assert total.by_ending() == {
        Ending.APPLIED: total.applied,
        Ending.DUPLICATE: total.duplicate,
        Ending.FILTERED: total.filtered,
        Ending.DEAD_LETTERED: total.dead_lettered,
    }
