"""Which type a member's column takes, and what is said of it."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from inbox.operations.samples.columns import ProposedColumn, columns_of, snake_case
from inbox.operations.samples.kinds import members_of
from inbox.reading.values import Date, TimeOfDay, Timestamp
from inbox.store.options import Reading


def column(values: Sequence[Any], name: str = "x", *, typed: bool = False) -> ProposedColumn:
    rows = [{name: value} for value in values]
    [found] = columns_of(members_of(rows, typed=typed).values(), len(rows), typed=typed)
    return found


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2], "bigint"),
        ([1, 2**63], "numeric"),
        ([1, 1.5], "numeric"),
        ([True], "boolean"),
        (["a", "b"], "text"),
        (["0042", "0043"], "text"),
        (["9.90", "-0.10"], "numeric"),
        (["9.90", "x"], "text"),
        (["2026-01-01", "2026-02-28"], "date"),
        (["2026-01-01", "2026-02-30"], "text"),
        (["2026-01-01T00:00:00Z", "2026-01-01 00:00:00.123+02:00"], "timestamptz"),
        (["2026-01-01T00:00:00"], "timestamp"),
        (["2026-01-01T00:00:00", "2026-01-01T00:00:00Z"], "text"),
        (["6f9619ff-8b86-d011-b42d-00c04fc964ff"], "uuid"),
        ([{"a": 1}, {}], "jsonb"),
        ([[1], []], "jsonb"),
        ([1, "a"], "jsonb"),
        ([True, 1], "jsonb"),
        ([None, None], "jsonb"),
        ([None, 1], "bigint"),
    ],
)
def test_json_values(values: Sequence[Any], expected: str) -> None:
    assert column(values).type == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (1.5, "double precision"),
        (Decimal("1.5"), "numeric"),
        ("2026-01-01", "text"),
        (Date(1), "date"),
        (TimeOfDay(1), "time"),
        (Timestamp(1), "timestamptz"),
        (Timestamp(1, zoned=False), "timestamp"),
        (UUID(int=1), "uuid"),
        (b"x", "bytea"),
    ],
)
def test_values_with_a_schema_keep_its_type(value: Any, expected: str) -> None:
    assert column([value], typed=True).type == expected


@pytest.mark.parametrize(
    ("name", "values", "expected", "reading"),
    [
        ("created_at", [1_700_000_000, 0], "bigint", None),
        ("created_at", [1_700_000_000], "timestamptz", Reading.EPOCH_S),
        ("createdAt", [1_700_000_000_123], "timestamptz", Reading.EPOCH_MS),
        ("ts", [1_700_000_000_123_456], "timestamptz", Reading.EPOCH_US),
        ("time", [1_700_000_000_123_456_789], "timestamptz", Reading.EPOCH_NS),
        ("order_date", [19_749, 20_000], "date", Reading.EPOCH_DAYS),
        ("amount", [19_749], "bigint", None),
        ("number", [1_700_000_000_123], "bigint", None),
    ],
)
def test_numbers_that_are_times_by_name_and_size(
    name: str, values: Sequence[int], expected: str, reading: Reading | None
) -> None:
    found = column(values, name)

    assert (found.type, found.reading) == (expected, reading)
    assert not reading or "guess" in found.notes[0]


def test_a_number_that_may_be_a_time_is_pointed_out() -> None:
    assert "epoch-ms" in column([1_700_000_000_123], "number").notes[0]


def test_mixed_kinds_are_counted() -> None:
    assert column([*range(30), *("a" * 3)]).notes == ("mixed: 30 whole numbers, 3 texts; jsonb takes each of them",)


def test_absent_and_null_members_are_counted() -> None:
    rows = [{"a": 1, "b": 1}] * 20 + [{"a": None}] * 5
    [a, b] = columns_of(members_of(rows, typed=False).values(), len(rows), typed=False)

    assert a.notes == b.notes == ("no value in 5 of 25 events",)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("orderId", "order_id"),
        ("HTTPStatus", "http_status"),
        ("order-id", "order_id"),
        ("größe", "größe"),
        ("select", "select"),
        ("order id", "order_id"),
        ("-", "-"),
    ],
)
def test_names_become_those_of_columns(name: str, expected: str) -> None:
    assert snake_case(name) == expected


def test_no_column_has_the_name_of_a_system_column() -> None:
    assert column([1], "ctid").name == "ctid_value"


def test_no_two_members_share_a_column() -> None:
    rows = [{"orderId": 1, "order_id": 2, "x" * 70: 3, "x" * 71: 4}]
    names = [each.name for each in columns_of(members_of(rows, typed=False).values(), 1, typed=False)]

    assert names[:2] == ["orderId", "order_id"]
    assert len(set(names)) == 4
    assert all(len(name) <= 63 for name in names)
