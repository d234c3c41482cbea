"""Packed arrays are what PostgreSQL reads, value for value."""

from collections.abc import Sequence
from typing import Any, LiteralString
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inbox.errors import EventError
from inbox.store.postgres import arrays
from inbox.store.postgres.connection import Connection

# One connection serves all examples: reading arrays leaves nothing behind.
one_connection = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def read_back(connection: Connection, packed: arrays.PackedArray, kind: LiteralString) -> Sequence[Any]:
    """What the server makes of the array, element by element and by its dimensions."""
    row = connection.execute(
        f"SELECT a, cardinality(a), array_lower(a, 1) FROM (SELECT %s::{kind}[] AS a) AS x",  # noqa: S608
        (packed,),
    )
    values, count, first = row.fetchone() or ((), -1, None)
    assert count == len(values)
    assert first == (1 if values else None)
    return list(values)


def nullable(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.none() | values, max_size=40)


@one_connection
@given(values=st.lists(st.uuids(), max_size=40))
def test_uuids(connection: Connection, values: list[UUID]) -> None:
    assert read_back(connection, arrays.uuids([each.bytes for each in values]), "uuid") == values


@one_connection
@given(values=nullable(st.integers(-(2**63), 2**63 - 1)))
def test_large_numbers(connection: Connection, values: list[int | None]) -> None:
    assert read_back(connection, arrays.int8s(values), "bigint") == values


@one_connection
@given(values=nullable(st.integers(-(2**31), 2**31 - 1)))
def test_numbers(connection: Connection, values: list[int | None]) -> None:
    assert read_back(connection, arrays.int4s(values), "integer") == values


@one_connection
@given(values=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=40))
def test_hashes_are_signed(connection: Connection, values: list[int]) -> None:
    packed = arrays.hashes([each.to_bytes(8, "big", signed=True) for each in values])
    assert read_back(connection, packed, "bigint") == values


@one_connection
@given(values=nullable(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"))))
def test_texts(connection: Connection, values: list[str | None]) -> None:
    packed = arrays.texts([None if each is None else each.encode() for each in values])
    assert read_back(connection, packed, "text") == values


@one_connection
@given(values=nullable(st.binary()))
def test_bytes(connection: Connection, values: list[bytes | None]) -> None:
    found = read_back(connection, arrays.byteas(values), "bytea")
    assert [None if each is None else bytes(each) for each in found] == values


@pytest.mark.parametrize("pack", [arrays.uuids, arrays.hashes, arrays.int8s, arrays.int4s, arrays.texts, arrays.byteas])
def test_no_values_are_an_empty_array(connection: Connection, pack: Any) -> None:
    assert connection.execute("SELECT cardinality(%s)", (pack([]),)).fetchone() == (0,)


def test_an_empty_text_is_not_null(connection: Connection) -> None:
    assert read_back(connection, arrays.texts([b"", None, b""]), "text") == ["", None, ""]


@pytest.mark.parametrize("value", [b"\xff", b"a\x00b", b"\xed\xa0\x80"])
def test_a_text_that_postgresql_cannot_hold_is_the_events_fault(connection: Connection, value: bytes) -> None:
    with pytest.raises(EventError, match="character not in repertoire"):
        connection.execute("SELECT %s", (arrays.texts([b"sound", value]),))


def test_arrays_of_one_statement_stand_side_by_side(connection: Connection) -> None:
    rows = connection.execute(
        "SELECT * FROM unnest(%s, %s, %s)",
        (arrays.int4s([1, 2, None]), arrays.texts([b"a", None, b"c"]), arrays.uuids([bytes(16)] * 3)),
    )
    nil = UUID(int=0)
    assert rows.fetchall() == [(1, "a", nil), (2, None, nil), (None, "c", nil)]


def test_a_large_array_arrives_whole(connection: Connection) -> None:
    values = list(range(200_000))
    row = connection.execute("SELECT sum(x)::bigint, count(*) FROM unnest(%s) AS x", (arrays.int8s(values),)).fetchone()
    assert row == (sum(values), len(values))
