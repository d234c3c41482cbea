"""Dead letters, read again."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from inbox.errors import EventError
from inbox.events import Header, Record
from inbox.store.inbox.dead_letter_queries import DeadLetterQueries, Letter, Selection
from inbox.store.inbox.dead_letters import OPEN, DeadLetter, DeadLetters, State
from inbox.store.inbox.ledger import Ledger
from inbox.store.postgres.connection import Connection
from tests.support.records import record


@pytest.fixture(name="letters")
def letters_(connection: Connection, ledger: Ledger) -> DeadLetterQueries:
    """The letters of a bound schema."""
    return DeadLetterQueries(connection, "inbox")


def park(connection: Connection, *records: Record, **changes: Any) -> None:
    given: dict[str, Any] = {
        "route_id": 1,
        "partition_id": 1,
        "event_id": UUID(int=7).bytes,
        "type": "Created",
        "error": EventError("no stock"),
        "attempts": 1,
        "state": State.PARKED,
    }
    letters = [DeadLetter(record=each, **(given | changes)) for each in records]
    DeadLetters(connection, "inbox").park(letters)


def read(connection: Connection, letters: DeadLetterQueries, selection: Selection | None = None) -> Sequence[Letter]:
    ids = letters.select(selection or Selection(), tuple(State))
    return list(letters.read(ids, whole=True))


def offsets(connection: Connection, letters: DeadLetterQueries, selection: Selection) -> list[int]:
    return [letter.record.offset() for letter in read(connection, letters, selection)]


def as_kafka_has_it(record: Record) -> tuple[object, ...]:
    return (
        *(record.topic(), record.partition(), record.offset()),
        *(record.key(), record.value(), record.headers(), record.timestamp()),
    )


ODD: list[tuple[bytes | None, bytes | None, list[Header], int | None]] = [
    (None, None, [], None),
    (b"", b"", [("", None)], 0),
    (b"\x00\xff", b"\x00\xff\n", [("a", b"\x00"), ("b", b"\xff"), ("a", b""), ("a", None)], 1),
    (b"k" * 10_000, b"v" * 2_000_000, [("é\U0001f600", "é".encode())], 253_402_300_800_000),
    (b"\\x00", b"{}", [], 2**63 - 1),
]


@pytest.mark.parametrize(("key", "value", "headers", "milliseconds"), ODD)
def test_a_record_is_read_again_as_it_came(
    connection: Connection,
    letters: DeadLetterQueries,
    key: bytes | None,
    value: bytes | None,
    headers: list[Header],
    milliseconds: int | None,
) -> None:
    came = record(1, key=key, value=value, headers=headers, milliseconds=milliseconds)
    park(connection, came)
    [letter] = read(connection, letters)
    kept = as_kafka_has_it(letter.record)
    expected = as_kafka_has_it(came)
    assert kept[:-1] == expected[:-1]
    assert letter.record.timestamp() == ((0, -1) if milliseconds is None else (1, milliseconds))


def test_a_payload_is_read_only_where_it_is_wanted(connection: Connection, letters: DeadLetterQueries) -> None:
    park(connection, record(1, value=b"v", headers=[("a", b"h")]))
    [letter] = letters.read([1], whole=False)
    assert (letter.record.value(), letter.record.headers()) == (None, None)


def test_letters_come_in_the_order_of_partition_key_and_offset(
    connection: Connection, letters: DeadLetterQueries
) -> None:
    park(connection, record(5, key=b"b"), record(6, key=b"a"), record(2), record(9, key=b"a"), record(1, key=b"b"))
    park(connection, record(3, partition=1, key=b"0"), partition_id=2)
    assert offsets(connection, letters, Selection()) == [6, 9, 1, 5, 2, 3]


@pytest.mark.parametrize(
    ("selection", "found"),
    [
        (Selection(ids=(2, 99)), [2]),
        (Selection(topic="orders"), [1, 2, 3]),
        (Selection(topic="order"), []),
        (Selection(route="reserve"), [1, 2, 3]),
        (Selection(route="other"), []),
        (Selection(key=b"a"), [1]),
        (Selection(key=b""), [3]),
        (Selection(error="NO STOCK"), [1, 2]),
        (Selection(error="%"), [3]),
        (Selection(older_than=timedelta(hours=1)), [1]),
        (Selection(ids=(1, 2), error="stock", key=b"b"), [2]),
    ],
)
def test_every_given_condition_has_to_fit(
    connection: Connection, letters: DeadLetterQueries, selection: Selection, found: list[int]
) -> None:
    park(connection, record(1, key=b"a"), record(2, key=b"b"))
    park(connection, record(3, key=b""), error=EventError("100 %"))
    connection.execute("UPDATE inbox.dead_letters SET created_at = now() - interval '61 min' WHERE kafka_offset = 1")
    assert sorted(offsets(connection, letters, selection)) == found


def test_only_letters_of_the_states_are_selected(connection: Connection, letters: DeadLetterQueries) -> None:
    for offset, state in enumerate(State):
        park(connection, record(offset, key=b"a"), state=state)
    assert letters.select(Selection(), OPEN) == [1, 2]


def test_what_is_concerned_are_the_open_letters_of_the_same_keys(
    connection: Connection, letters: DeadLetterQueries
) -> None:
    park(connection, record(1, key=b"a"), record(2, key=b"a"), record(3, key=b"b"), record(4), record(5))
    park(connection, record(6, key=b"a"), state=State.RETRIED)
    park(connection, record(7, key=b"a", partition=1), partition_id=2)
    concerned = letters.affected([2, 4, 6])
    assert [(each.kafka_offset, each.selected) for each in concerned] == [(1, False), (2, True), (4, True)]


def test_a_key_of_any_length_is_found(connection: Connection, letters: DeadLetterQueries) -> None:
    long = b"k" * 100_000
    park(connection, record(1, key=long), record(2, key=long), record(3, key=long + b"!"))
    found, more = letters.open_of(1, 1, keys=[long], ids=[], limit=10)
    assert ([letter.record.offset() for letter in found], more) == ([1, 2], False)


def test_no_more_letters_are_read_at_once_than_fit_into_memory(
    connection: Connection, letters: DeadLetterQueries, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.store.inbox.dead_letter_queries._BYTES_AT_ONCE", 3000)
    values = [1000, 1000, 1000, 5000, 10, 10]
    park(connection, *(record(at, key=b"k", value=bytes(size)) for at, size in enumerate(values)))
    found, more = letters.open_of(1, 1, keys=[b"k"], ids=[], limit=10)
    assert ([letter.record.offset() for letter in found], more) == ([0, 1], True)
    found, more = letters.open_of(1, 1, keys=[b"k"], ids=[], limit=1)
    assert ([letter.record.offset() for letter in found], more) == ([0], True)
    ids = letters.select(Selection(), OPEN)
    assert [len(part) for part in letters._parts(ids, whole=True)] == [2, 1, 1, 2]
    assert [letter.record.offset() for letter in letters.read(ids, whole=True)] == list(range(6))
    assert [len(part) for part in letters._parts(ids, whole=False)] == [6]
