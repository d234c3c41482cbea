"""Parked events, kept whole."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from inbox.errors import EventError
from inbox.store.inbox.dead_letters import DeadLetter, DeadLetters, State, held_key
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.support.records import record

LETTER = DeadLetter(
    route_id=1,
    partition_id=1,
    record=record(42, key=b"k", value=b"\xff\x00", headers=[("a", b"\xff"), ("b", None), ("a", b"")]),
    event_id=UUID(int=7).bytes,
    type="Created",
    error=EventError("no stock"),
    attempts=3,
    state=State.PARKED,
)


@pytest.fixture(name="dead_letters")
def dead_letters_(connection: Connection, ledger: Ledger) -> DeadLetters:
    """The dead letters of a bound schema."""
    return DeadLetters(connection, "inbox")


def at(offset: int, key: bytes | None = b"k", **changes: Any) -> DeadLetter:
    return replace(LETTER, record=record(offset, key=key), **changes)


def column(connection: Connection, name: str) -> list[Any]:
    rows = connection.execute(f"SELECT {name} FROM inbox.dead_letters ORDER BY dead_letter_id")  # type: ignore[arg-type] # noqa: S608
    return [value for (value,) in rows]


def test_a_letter_is_kept_whole(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([LETTER])
    row = connection.execute(
        "SELECT event_id, route_id, partition_id, kafka_offset, kafka_timestamp, type, key, value, headers, "
        "error_class, error, attempts, state FROM inbox.dead_letters"
    ).fetchone()
    assert row == (
        UUID(int=7),
        1,
        1,
        42,
        datetime(2023, 11, 14, 22, 13, 20, 123_000, UTC),
        "Created",
        b"k",
        b"\xff\x00",
        [["a", "/w=="], ["b", None], ["a", ""]],
        "EventError",
        "no stock",
        3,
        "parked",
    )


def test_what_an_event_lacks_is_null(connection: Connection, dead_letters: DeadLetters) -> None:
    bare = record(1, value=None, milliseconds=None)
    dead_letters.park([replace(LETTER, record=bare, event_id=None, type=None)])
    row = connection.execute(
        "SELECT event_id, kafka_timestamp, type, key, value, headers FROM inbox.dead_letters"
    ).fetchone()
    assert row == (None, None, None, None, None, [])


def test_an_empty_key_or_value_is_not_null(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([replace(LETTER, record=record(1, key=b"", value=b""))])
    assert (column(connection, "key"), column(connection, "value")) == ([b""], [b""])


def test_a_letter_parked_twice_is_one(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([LETTER])
    dead_letters.park([replace(LETTER, error=EventError("again"), attempts=9), at(43)])
    assert column(connection, "kafka_offset") == [42, 43]
    assert column(connection, "error") == ["no stock", "no stock"]


@pytest.mark.parametrize("change", [{"route_id": 2}, {"partition_id": 2}])
def test_one_offset_of_another_route_or_partition_is_another_letter(
    connection: Connection, dead_letters: DeadLetters, change: dict[str, int]
) -> None:
    connection.execute("INSERT INTO inbox.routes (name, topics, identity) VALUES ('second', '{orders}', 'auto')")
    dead_letters.park([LETTER, replace(LETTER, **change)])  # type: ignore[arg-type]
    assert column(connection, "kafka_offset") == [42, 42]


def test_letters_are_kept_in_the_order_of_their_events(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(3), at(1), at(2)])
    assert column(connection, "kafka_offset") == [3, 1, 2]


def test_an_error_is_told_with_what_it_came_from(connection: Connection, dead_letters: DeadLetters) -> None:
    error = EventError("cannot reserve")
    error.__cause__ = KeyError("sku")
    error.__cause__.__cause__ = ValueError()
    dead_letters.park([replace(LETTER, error=error)])
    assert column(connection, "error") == ["cannot reserve\nKeyError\nValueError"]
    assert column(connection, "error_detail") == ["KeyError: 'sku'\nValueError"]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError(), "ValueError"),
        (EventError("a\x00b"), "a\N{REPLACEMENT CHARACTER}b"),
        (EventError("a\udcffb"), "a?b"),
        (EventError("x" * 20_000), "x" * 10_000),
    ],
)
def test_no_text_of_an_error_keeps_its_event_from_being_parked(
    connection: Connection, dead_letters: DeadLetters, error: Exception, text: str
) -> None:
    dead_letters.park([replace(LETTER, error=error)])
    assert column(connection, "error") == [text]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("a\x00b"), "ValueError: a\N{REPLACEMENT CHARACTER}b"),
        (ValueError("a\udcffb"), "ValueError: a?b"),
        (ValueError("x" * 20_000), ("ValueError: " + "x" * 20_000)[:10_000]),
    ],
)
def test_no_detail_of_an_error_keeps_its_event_from_being_parked(
    connection: Connection, dead_letters: DeadLetters, error: Exception, text: str
) -> None:
    dead_letters.park([replace(LETTER, error=error)])
    assert column(connection, "error_detail") == [text]


def test_an_error_that_came_from_itself_is_told_with_an_end(connection: Connection, dead_letters: DeadLetters) -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__cause__, second.__cause__ = second, first
    dead_letters.park([replace(LETTER, error=first)])
    assert len(column(connection, "error_detail")[0].splitlines()) == 10


def test_no_type_or_header_keeps_its_event_from_being_parked(connection: Connection, dead_letters: DeadLetters) -> None:
    odd = record(1, headers=[("na\x00me", b"1")])
    dead_letters.park([replace(LETTER, record=odd, type="a\x00b")])
    assert column(connection, "type") == ["a\N{REPLACEMENT CHARACTER}b"]
    assert column(connection, "headers") == [[["na\N{REPLACEMENT CHARACTER}me", "MQ=="]]]


@pytest.mark.parametrize("milliseconds", [1_700_000_000_000_000, 253_402_300_799_999, -62_135_596_800_000, -1])
def test_no_timestamp_keeps_its_event_from_being_parked(
    connection: Connection, dead_letters: DeadLetters, milliseconds: int
) -> None:
    dead_letters.park([replace(LETTER, record=record(1, milliseconds=milliseconds))])
    assert column(connection, "kafka_offset") == [1]


def test_a_record_whose_timestamp_is_kafkas_minus_one_is_parked_without_one(
    connection: Connection, dead_letters: DeadLetters
) -> None:
    dead_letters.park([replace(LETTER, record=record(1, milliseconds=-1))])
    assert column(connection, "kafka_timestamp") == column(connection, "kafka_milliseconds") == [None]


def test_keys_of_open_letters_hold_later_events(connection: Connection, dead_letters: DeadLetters) -> None:
    waiting = at(2, b"b", state=State.WAITING)
    dead_letters.park([at(1, b"a"), waiting, at(3, b"a"), at(4, b"c", partition_id=2), at(5, None)])
    assert dead_letters.parked_keys([1, 2]) == {(1, 1): {b"a": 1, b"b": 2}, (1, 2): {b"c": 4}}


def test_keys_are_those_of_the_partitions(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(1, b"a"), at(4, b"c", partition_id=2)])
    assert dead_letters.parked_keys([2]) == {(1, 2): {b"c": 4}}
    assert dead_letters.parked_keys([]) == {}


@pytest.mark.parametrize("state", [State.RETRIED, State.DISCARDED])
def test_a_closed_letter_holds_nobody(connection: Connection, dead_letters: DeadLetters, state: State) -> None:
    dead_letters.park([at(1, state=state)])
    assert dead_letters.parked_keys([1]) == {}
    assert dead_letters.count_by_state() == {}


def test_an_empty_key_is_a_key(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(1, b"")])
    assert dead_letters.parked_keys([1]) == {(1, 1): {b"": 1}}


@pytest.mark.parametrize("length", [0, 1, 63, 64, 65, 66, 128, 900_000])
def test_a_key_is_read_as_the_worker_that_parked_it_keeps_it(
    connection: Connection, dead_letters: DeadLetters, length: int
) -> None:
    key = b"k" * length
    dead_letters.park([at(1, key)])
    assert dead_letters.parked_keys([1]) == {(1, 1): {held_key(key): 1}}


def test_long_keys_are_not_read_whole(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(offset, b"k" * 300_000 + bytes([offset])) for offset in range(10)])
    (keys,) = dead_letters.parked_keys([1]).values()
    assert sorted(keys.values()) == list(range(10))
    assert max(map(len, keys)) == 65


def test_no_more_keys_are_read_than_may_be_kept(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(offset, b"%d" % offset) for offset in range(10)])
    (keys,) = dead_letters.parked_keys([1], at_most=4).values()
    assert len(keys) == 4


def test_open_letters_are_counted_by_state(connection: Connection, dead_letters: DeadLetters) -> None:
    dead_letters.park([at(1), at(2), at(3, state=State.WAITING), at(4, state=State.RETRIED)])
    assert dead_letters.count_by_state() == {State.PARKED: 2, State.WAITING: 1}


def test_only_what_failed_itself_within_the_hour_counts_towards_a_pause(
    connection: Connection, dead_letters: DeadLetters
) -> None:
    dead_letters.park([at(1), at(2), at(3), at(4, state=State.WAITING)])
    partition_ids = column(connection, "partition_id")[:1]
    connection.execute("UPDATE inbox.dead_letters SET created_at = now() - interval '61 min' WHERE kafka_offset = 1")
    assert dead_letters.parked_above(partition_ids, 1) == set(partition_ids)
    assert dead_letters.parked_above(partition_ids, 2) == set()
