"""Parts whose events are taken to be new and good: what comes instead is found, and costs nothing but time."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from typing import Any

import pytest
from pydantic import SecretStr

from inbox.errors import EventError
from inbox.sink.settle import fast_path
from inbox.sink.settle.effects import TableEffect
from inbox.store.inbox.generations import Generations
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect
from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
name = "table"
topic = "TOPIC"
[routes.table]
name = "public.rows"
mode = "{mode}"
key = ["id"]
{more}
[routes.table.columns]
id = "/id"
note = "/note"
version = "/version"
"""


@pytest.fixture
def flights(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each flight, whether it went well; parts of two events, so that each has several."""
    went: list[bool] = []
    send = fast_path.FastPath._send

    def watched(*arguments: Any, **named: Any) -> tuple[int, EventError | None]:
        stand, error = send(*arguments, **named)
        went.append(error is None)
        return stand, error

    monkeypatch.setattr(fast_path.FastPath, "_send", watched)
    monkeypatch.setattr(fast_path, "_FIRST_PART", 1)
    monkeypatch.setattr(fast_path, "_PART", 2)
    return went


Table = Callable[..., Sink]


@pytest.fixture
def table(sink: Sink) -> Table:
    """A sink with one route into the table `rows (id, note, version)`, at most five events a transaction."""

    def make(mode: str = "upsert", more: str = "", rest: str = "") -> Sink:
        sink.sql("CREATE TABLE rows (id int PRIMARY KEY, note text UNIQUE, version int CHECK (version >= 0))")
        sink.configure(ROUTE.format(mode=mode, more=more), sink="batch_events = 5", rest=rest)
        return sink

    return make


def row(number: int, *, event: int | None = None, note: str | None = None, version: int = 0) -> Out:
    value = {"id": number, "note": note or f"note {number}", "version": version}
    return Out(number if event is None else event, value, key=str(number))


def new(count: int, first: int = 1) -> Iterator[Out]:
    return (row(number) for number in range(first, first + count))


def rows(sink: Sink) -> Sequence[tuple[object, ...]]:
    return sink.sql("SELECT id, note, version FROM rows ORDER BY id")


def test_new_events_are_settled_at_once_after_a_first_part(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.send(*new(25))
    sink.run()
    assert flights
    assert all(flights)
    assert len(rows(sink)) == 25
    assert sink.endings() == {"applied": 25}
    assert sink.column("SELECT count(*) FROM inbox.processed") == [25]


def test_a_flight_is_under_way_once_two_parts_are_sent_or_all_that_there_are(
    table: Table, flights: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[list[str]] = []
    fly, send = fast_path.FastPath._send, TableEffect.send

    def watched(flight: fast_path.FastPath, *arguments: Any, **named: Any) -> tuple[int, EventError | None]:
        happened.append([])
        flight._on_started = lambda: happened[-1].append("under way")
        return fly(flight, *arguments, **named)

    def sent(*arguments: object, **named: object) -> None:
        send(*arguments, **named)  # type: ignore[arg-type]
        happened[-1].append("sent")

    monkeypatch.setattr(fast_path.FastPath, "_send", watched)
    monkeypatch.setattr(TableEffect, "send", sent)
    sink = table()
    sink.send(*new(26))
    sink.run()
    assert {each.count("sent") for each in happened} >= {1, 3}
    assert all(each.index("under way") == min(2, each.count("sent")) for each in happened)


def test_an_id_that_comes_again_is_a_duplicate(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.send(*new(23), row(7), *new(5, 24))
    sink.run()
    assert False in flights
    assert [number for number, _, _ in rows(sink)] == list(range(1, 29))
    assert sink.endings() == {"applied": 28, "duplicate": 1}


def test_an_id_that_comes_twice_in_a_batch_is_applied_once(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.send(*new(21), row(22), row(22), *new(3, 23))
    sink.run()
    assert [number for number, _, _ in rows(sink)] == list(range(1, 26))
    assert sink.endings() == {"applied": 25, "duplicate": 1}


def test_an_id_that_is_in_an_older_generation_is_a_duplicate(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.send(*new(10))
    sink.run()
    with closing(connect(DatabaseOptions(url=SecretStr(sink.database_url)))) as connection:
        Generations(connection, "inbox").switch(0)
    flights.clear()
    sink.send(*new(20, 11), row(3))
    sink.run()
    assert True in flights
    assert [number for number, _, _ in rows(sink)] == list(range(1, 31))
    assert sink.endings() == {"applied": 30, "duplicate": 1}


@pytest.mark.parametrize(
    ("mode", "more", "expected"),
    [
        ("upsert", "", (3, "last", 1)),
        ("insert", "", (3, "note 3", 0)),
        ("newest", 'version = "version"', (3, "newer", 2)),
    ],
)
def test_a_row_that_is_there_is_treated_as_the_mode_says(
    table: Table, flights: list[bool], mode: str, more: str, expected: tuple[object, ...]
) -> None:
    sink = table(mode, more)
    sink.send(
        *new(20),
        row(3, event=101, note="newer", version=2),
        *new(3, 21),
        row(3, event=102, note="last", version=1),
        *new(20, 24),
    )
    sink.run()
    assert flights[-1], "after a while rows are taken to be new again, or written with care"
    assert rows(sink)[2] == expected
    assert sink.endings() == {"applied": 45}


def test_a_key_that_comes_again_in_another_part_of_a_flight_is_overwritten(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.send(*new(20), row(21, event=201), row(22), row(23), row(21, event=202, note="last"), row(24))
    sink.run()
    assert (21, "last", 0) in rows(sink)
    assert sink.endings() == {"applied": 25}


@pytest.mark.parametrize(
    "poison",
    [row(100, version=-1), row(100, note="note 2"), Out(100, {"id": "no number"}), Out(100, b"no JSON")],
    ids=["refused by a condition", "refused by another unique index", "no such type", "no JSON"],
)
def test_a_poison_event_is_parked_alone(table: Table, flights: list[bool], poison: Out) -> None:
    sink = table()
    sink.send(*new(22), poison, *new(28, 23))
    sink.run()
    assert False in flights
    assert flights[-1], "what comes behind it is settled at once again"
    assert [number for number, _, _ in rows(sink)] == list(range(1, 51))
    assert sink.dead_letters() == [(22, "parked")]
    assert sink.endings() == {"applied": 50, "dead_lettered": 1}


def test_a_deferred_constraint_parks_its_event_alone(table: Table, flights: list[bool]) -> None:
    sink = table()
    sink.sql("ALTER TABLE rows ADD CONSTRAINT late UNIQUE (version) DEFERRABLE INITIALLY DEFERRED")
    numbered = [row(number, version=number) for number in range(1, 41)]
    sink.send(*numbered[:22], row(100, version=2), *numbered[22:])
    sink.run()
    assert False in flights, "not only COMMIT finds it"
    assert [number for number, _, _ in rows(sink)] == list(range(1, 41))
    assert sink.dead_letters() == [(22, "parked")]


def test_a_tombstone_deletes_its_row(table: Table, flights: list[bool]) -> None:
    sink = table(more='tombstones = "delete"')
    sink.send(*new(20), Out(200, None, key="3"), *new(5, 21), row(3, event=201, note="again"))
    sink.run()
    assert (3, "again", 0) in rows(sink)
    assert len(rows(sink)) == 25
