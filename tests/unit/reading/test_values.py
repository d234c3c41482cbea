"""The values of decoded rows: their texts, their JSON and what handlers receive."""

from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from inbox.documents import write
from inbox.reading.values import (
    DAY,
    INFINITE,
    Bits,
    Date,
    Interval,
    Json,
    TimeOfDay,
    Timestamp,
    as_json,
    as_python,
    as_text,
    decimal_of,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Date(0), "1970-01-01"),
        (Date(19_749), "2024-01-27"),
        (Date(-1), "1969-12-31"),
        (Date(-719_162), "0001-01-01"),
        (Date(-719_163), "0001-12-31 BC"),
        (Date(2_932_897), "10000-01-01"),
        (TimeOfDay(0), "00:00:00"),
        (TimeOfDay(DAY - 1), "23:59:59.999999"),
        (TimeOfDay(1_500_000_000, offset=0), "00:00:01.500000+00"),
        (Timestamp(0), "1970-01-01 00:00:00+00"),
        (Timestamp(-1), "1969-12-31 23:59:59.999999+00"),
        (Timestamp(1_700_000_000_123_456_789, zoned=False), "2023-11-14 22:13:20.123456"),
        (Timestamp(-719_163 * DAY), "0001-12-31 00:00:00+00 BC"),
        (Date(INFINITE), "infinity"),
        (Timestamp(-INFINITE), "-infinity"),
        (TimeOfDay(DAY), "24:00:00"),
        (TimeOfDay(0, offset=-5400), "00:00:00-01:30"),
        (TimeOfDay(0, offset=3661), "00:00:00+01:01:01"),
        (Interval(14, 3, 4_500_000_000), "14 mons 3 days 00:00:04.500000"),
        (Interval(0, 0, -1_000_000), "0 mons 0 days -00:00:00.001000"),
    ],
)
def test_a_time_has_one_text_for_postgresql(value: object, text: str) -> None:
    assert as_text(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (-(10**40), "-1" + "0" * 40),
        (0.1, "0.1"),
        (float("nan"), "NaN"),
        (float("-inf"), "-Infinity"),
        (-0.0, "-0.0"),
        (Decimal("1E+3"), "1000"),
        (Decimal("-1E+400"), "-1" + "0" * 400),
        (Decimal("1E+2000"), "1E+2000"),
        (Decimal("-Infinity"), "-Infinity"),
        (Decimal("1E-20"), "0.00000000000000000001"),
        (Decimal("1E-16000"), "1E-16000"),
        (Decimal("1.10"), "1.10"),
        (b"\x00\xff", "\\x00ff"),
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Json('{"a": 1}'), '{"a": 1}'),
        (Bits("0101"), "0101"),
        ({"a": [Date(0)]}, '{"a":["1970-01-01"]}'),
    ],
)
def test_any_value_has_one_text_for_postgresql(value: object, text: str) -> None:
    found = as_text(value)
    assert (type(found), found) == (str, text)


def test_a_decimal_of_bytes_has_every_digit() -> None:
    assert decimal_of((-(10**40) + 1).to_bytes(20, "big", signed=True), 30) == Decimal(
        "-9999999999.999999999999999999999999999999"
    )


@pytest.mark.parametrize("days", [*range(-800_000, 800_000, 9_973), -719_162, 0, 59, 60, 365, 11_016, 2_932_896])
def test_a_date_has_the_calendar_of_python_where_python_has_one(days: int) -> None:
    ordinal = days + date(1970, 1, 1).toordinal()
    if 1 <= ordinal <= date.max.toordinal():
        assert as_text(Date(days)) == date.fromordinal(ordinal).isoformat()


def test_a_handler_receives_times_as_python_has_them() -> None:
    row = {"a": [Date(1)], "b": TimeOfDay(1_000), "c": Timestamp(1_000_000), "d": Interval(0, 1, 1_000)}
    assert as_python(row) == {
        "a": [date(1970, 1, 2)],
        "b": time(0, 0, 0, 1),
        "c": datetime(1970, 1, 1, 0, 0, 0, 1_000, tzinfo=UTC),
        "d": timedelta(days=1, microseconds=1),
    }


def test_a_time_beyond_python_stays_as_it_is() -> None:
    for value in (Date(3_000_000), Timestamp(300_000_000 * DAY), Interval(1, 0, 0)):
        assert as_python(value) is value


def test_json_has_a_text_for_what_it_cannot_express() -> None:
    row = {
        "bytes": b"\x00\xff",
        "nan": [float("nan"), float("inf"), Decimal("-Infinity")],
        "decimal": Decimal("1.50"),
        "uuid": UUID(int=1),
        "at": Timestamp(0),
        "document": Json('{"b": 1}'),
    }
    assert write(as_json(row)) == (
        '{"bytes":"AP8=","nan":["NaN","Infinity","-Infinity"],"decimal":1.50,'
        '"uuid":"00000000-0000-0000-0000-000000000001","at":"1970-01-01T00:00:00+00","document":{"b":1}}'
    )
