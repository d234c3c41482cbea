"""Times in tables: exact to the microsecond, and the same whenever and wherever they are written."""

import pytest

from inbox.store.database import SinkConnection
from tests.integration.store.table_routes import MakeRoute, of
from tests.records import record

# Milliseconds since 1970, and the moment in UTC.
MOMENTS = [
    (0, "1970-01-01 00:00:00"),
    (1, "1970-01-01 00:00:00.001"),
    (1_700_000_000_123, "2023-11-14 22:13:20.123"),
    (9_007_199_254_741, "2255-06-05 23:47:34.741"),
    (253_402_300_799_999, "9999-12-31 23:59:59.999"),
    (253_402_300_800_001, "10000-01-01 00:00:00.001"),
    (9_224_318_015_999_999, "294276-12-31 23:59:59.999"),
]


@pytest.mark.parametrize(("milliseconds", "moment"), MOMENTS)
def test_a_records_timestamp_is_stored_exactly(route: MakeRoute, milliseconds: int, moment: str) -> None:
    it = route(
        "a timestamptz, b timestamp, c date, d bigint",
        {"a": "$timestamp", "b": "$timestamp", "c": "$timestamp", "d": "$timestamp"},
    )
    it.write(record(milliseconds=milliseconds))

    assert it.texts("a AT TIME ZONE 'UTC'") == it.texts("b") == [moment]
    assert it.texts("c") == [moment.partition(" ")[0]]
    assert it.texts("d") == [str(milliseconds)]


@pytest.mark.parametrize(
    ("number", "moment"),
    [
        *((str(milliseconds), moment) for milliseconds, moment in MOMENTS),
        ("-1", "1969-12-31 23:59:59.999"),
        ("-86400001", "1969-12-30 23:59:59.999"),
        ("253402300799999.001", "9999-12-31 23:59:59.999001"),
        ("1.7E12", "2023-11-14 22:13:20"),
        ("-62135596800000", "0001-01-01 00:00:00"),
    ],
)
def test_milliseconds_in_a_document_are_stored_exactly(route: MakeRoute, number: str, moment: str) -> None:
    it = route("a timestamptz, b timestamp[]", {"a": "/at", "b": "/list"})
    it.write(record(value=f'{{"at": {number}, "list": [{number}]}}'.encode()))

    assert it.texts("a AT TIME ZONE 'UTC'") == it.texts("b[1]") == [moment]


@pytest.mark.parametrize("milliseconds", [None, -1, -2])
def test_a_record_without_a_timestamp_writes_null(route: MakeRoute, milliseconds: int | None) -> None:
    it = route("a timestamptz, b bigint, c text", {"a": "$timestamp", "b": "$timestamp", "c": "$timestamp"})
    it.write(record(milliseconds=milliseconds))

    assert it.rows() == [(None, None, None)]


@pytest.mark.parametrize("zone", ["Asia/Kathmandu", "America/New_York", "UTC"])
def test_milliseconds_are_of_utc_whatever_the_zone_of_the_session(
    connection: SinkConnection, route: MakeRoute, zone: str
) -> None:
    connection.execute(f"SET timezone = '{zone}'".encode())
    it = route("a timestamp, b date, c timestamptz", {"a": "/at", "b": "/at", "c": "/at"})
    it.write(of({"at": 1_710_054_000_000}))  # the morning on which New York's clocks went forward

    assert it.texts("a") == it.texts("c AT TIME ZONE 'UTC'") == ["2024-03-10 07:00:00"]
    assert it.texts("b") == ["2024-03-10"]
