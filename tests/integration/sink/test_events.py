"""Which events are applied, which are duplicates, filtered, parked or waiting, end to end."""

import hashlib
from collections.abc import Callable
from uuid import UUID, uuid5

import pytest

from inbox.bootstrap import settler
from inbox.errors import EventError, HaltError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.sink.event_id import namespace_of
from tests.support import raw_headers
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink

A_UUID = UUID("6f9619ff-8b86-d011-b42d-00cf4fc964ff")

TABLE_ROUTE = """
[[routes]]
name = "table"
topic = "TOPIC"
event_id = "{event_id}"
[routes.table]
name = "public.rows"
mode = "{mode}"
{more}
[routes.table.columns]
id = "/id"
note = "/note"
event_id = "$event_id"
"""


@pytest.fixture
def table(sink: Sink) -> Callable[..., Sink]:
    """A sink with one route into the table `rows (id, note, event_id)`."""

    def make(
        *,
        event_id: str = "auto",
        mode: str = "append",
        more: str = "",
        rest: str = "",
        **other: str,
    ) -> Sink:
        unique = "PRIMARY KEY" if mode != "append" else ""
        sink.sql(
            "CREATE TABLE rows (position bigint GENERATED ALWAYS AS IDENTITY, "
            f"id text {unique}, note text, event_id uuid)"
        )
        route = TABLE_ROUTE.format(event_id=event_id, mode=mode, more=more)
        sink.configure(route, rest=rest, **other)
        return sink

    return make


Table = Callable[..., Sink]


def rows(sink: Sink) -> list[tuple[str, str]]:
    return sink.sql("SELECT id, note FROM rows ORDER BY position")  # type: ignore[return-value]


def row(number: int, note: str = "", **out: object) -> Out:
    return Out(out.pop("event", number), {"id": str(number), "note": note}, **out)  # type: ignore[arg-type]


# Identity.


@pytest.mark.parametrize(
    ("rule", "sent", "identity"),
    [
        ("auto", {"headers": {"event_id": str(A_UUID).upper()}}, str(A_UUID)),
        ("auto", {"headers": {"id": "order-1"}}, "order-1 in TOPIC"),
        ("auto", {"headers": {"ce_id": "1", "ce_source": "/shop"}}, "1 in /shop"),
        ("auto", {"headers": {"ce_id": "1"}}, "1 in TOPIC"),
        ("header:message-id", {"headers": {"message-id": "m1"}}, "m1 in TOPIC"),
        ("key", {"key": "k1"}, "k1 in TOPIC"),
        ("value:/meta/id", {"value": {"meta": {"id": 17}}}, "17 in TOPIC"),
    ],
)
def test_an_event_id_comes_from_where_the_route_says(
    table: Table, rule: str, sent: dict[str, object], identity: str
) -> None:
    sink = table(event_id=rule)
    sink.send(Out(None, **sent))  # type: ignore[arg-type]
    sink.run()
    text, _, source = identity.replace("TOPIC", sink.topic).partition(" in ")
    expected = uuid5(UUID(bytes=namespace_of(source)), text) if source else UUID(text)
    assert sink.column("SELECT event_id FROM inbox.processed") == [expected]
    assert sink.column("SELECT event_id FROM rows") == [expected]


def test_coordinates_tell_every_record_from_every_other(table: Table) -> None:
    sink = table(event_id="coordinates")
    sink.send(row(1), row(1), row(1))
    sink.run()
    assert sink.endings() == {"applied": 3}


@pytest.mark.parametrize("headers", [{}, {"event_id": ""}, {"event_id": b"\xff"}, {"event_id": None}])
def test_an_event_without_an_id_is_parked_and_never_guessed(
    table: Table, headers: dict[str, bytes | str | None]
) -> None:
    sink = table()
    sink.send(row(1), Out(None, {"id": "2"}, headers=headers), row(3))
    sink.run()
    assert [name for name, _ in rows(sink)] == ["1", "3"]
    assert sink.dead_letters() == [(1, "parked")]


# Duplicates.


def test_an_id_that_comes_again_is_applied_once_within_a_batch_and_across_batches(table: Table) -> None:
    sink = table()
    sink.send(row(1), row(2), row(1), row(1))
    sink.run()
    sink.send(row(2), row(3))
    sink.run()
    assert [name for name, _ in rows(sink)] == ["1", "2", "3"]
    assert sink.endings() == {"applied": 3, "duplicate": 3}


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
def test_one_id_with_another_payload_is_parked(table: Table, together: bool) -> None:
    sink = table()
    sink.send(row(1, "first"))
    if not together:
        sink.run()
    sink.send(row(2, "other", event=1), row(3))
    sink.run()
    assert [name for name, _ in rows(sink)] == ["1", "3"]
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.dead_letter_errors() == [
        f"its event id was applied before, from {sink.topic}[0]@0, with another payload"
    ]
    assert sink.endings() == {"applied": 2, "dead_lettered": 1}
    assert sink.column("SELECT same_id_other_payload FROM inbox.partitions") == [1]


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
def test_one_id_with_another_payload_may_be_counted_as_a_duplicate(table: Table, together: bool) -> None:
    sink = table(rest='[failures]\nsame_id_other_payload = "count"')
    sink.send(row(1, "first"))
    if not together:
        sink.run()
    sink.send(row(2, "other", event=1), row(3))
    sink.run()
    assert [name for name, _ in rows(sink)] == ["1", "3"]
    assert sink.endings() == {"applied": 2, "duplicate": 1}
    assert sink.column("SELECT same_id_other_payload FROM inbox.partitions") == [1]


def test_when_the_first_of_equal_ids_is_parked_the_next_is_tried_for_itself(table: Table) -> None:
    sink = table(rest='[failures]\norder = "none"')
    sink.sql("ALTER TABLE rows ADD CHECK (note <> 'bad')")
    sink.send(row(1, "bad"), row(1, "good"), row(1, "good"))
    sink.run()
    assert rows(sink) == [("1", "good")]
    assert sink.dead_letters() == [(0, "parked")]
    assert sink.endings() == {"applied": 1, "duplicate": 1, "dead_lettered": 1}


def test_when_the_first_of_equal_ids_waits_behind_its_key_the_next_is_tried_for_itself(table: Table) -> None:
    sink = table()
    sink.sql("ALTER TABLE rows ADD CHECK (note <> 'bad')")
    sink.send(row(1, "bad", key="a"), row(2, "behind it", key="a"), row(2, "not behind it", key="b"))
    sink.run()
    assert rows(sink) == [("2", "not behind it")]
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting")]


# Types and tombstones.


def test_only_events_of_the_routes_types_are_taken(table: Table) -> None:
    sink = table(more="", event_id='auto"\ntypes = ["Made", "Changed"]\nevent_type = "header:kind')
    sink.send(
        row(1, headers={"kind": "Made"}), row(2, headers={"kind": "Gone"}), row(3), row(4, headers={"kind": "Changed"})
    )
    sink.run()
    assert [name for name, _ in rows(sink)] == ["1", "4"]
    assert sink.endings() == {"applied": 2, "filtered": 2}


def test_a_type_may_be_in_the_value(table: Table) -> None:
    sink = table(event_id='auto"\ntypes = ["Made"]\nevent_type = "value:/note')
    sink.send(row(1, "Made"), row(2, "Gone"))
    sink.run()
    assert sink.endings() == {"applied": 1, "filtered": 1}


@pytest.mark.parametrize(
    ("tombstones", "left", "endings"),
    [
        ("delete", [("2", "two")], {"applied": 3}),
        ("ignore", [("1", "one"), ("2", "two")], {"applied": 2, "filtered": 1}),
        ("error", [("1", "one"), ("2", "two")], {"applied": 2, "dead_lettered": 1}),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
def test_a_tombstone_does_what_the_route_says(
    table: Table, tombstones: str, left: list[tuple[str, str]], endings: dict[str, int], together: bool
) -> None:
    sink = table(mode="upsert", more=f'key = ["id"]\ntombstones = "{tombstones}"')
    sink.send(row(1, "one", key="1"), row(2, "two", key="2"))
    if not together:
        sink.run()
    sink.send(Out(3, None, key="1"))
    sink.run()
    assert rows(sink) == left
    assert sink.endings() == endings


@pytest.mark.parametrize(
    ("mode", "more", "note"),
    [
        ("append", "", ["old", "new", "late"]),
        ("insert", 'key = ["id"]', ["old"]),
        ("upsert", 'key = ["id"]', ["late"]),
        ("newest", 'key = ["id"]\nversion = "note"', ["old"]),
        ("merge", 'key = ["id"]', ["late"]),
        ("update", 'key = ["id"]', []),
    ],
)
@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in two batches"])
def test_three_events_of_one_row(table: Table, mode: str, more: str, note: list[str], together: bool) -> None:
    sink = table(mode=mode, more=more)
    sink.send(row(1, "old"), row(1, "new", event=2))
    if not together:
        sink.run()
    sink.send(row(1, "late", event=3))
    sink.run()
    assert [found for _, found in rows(sink)] == note
    assert sink.endings() == {"applied": 3}


# Order after a failure.


def fails_on_bad(event: Event, tx: Transaction) -> None:
    if event.json() == "bad":
        raise EventError("bad")
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))


def effects(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


BAD_AMONG_GOOD = [
    Out(1, "good", key="a"),
    Out(2, "bad", key="a"),
    Out(3, "good", key="b"),
    Out(4, "good", key="a"),
    Out(5, "bad"),
    Out(6, "good"),
]


@pytest.mark.parametrize("batch_events", [1, 2, 100])
def test_later_events_of_a_parked_key_wait_behind_it(handled_by: Callable[..., Sink], batch_events: int) -> None:
    sink = handled_by(fails_on_bad, sink=f"batch_events = {batch_events}")
    sink.send(*BAD_AMONG_GOOD)
    sink.run()
    assert effects(sink) == [1, 3, 6]
    assert sink.dead_letters() == [(1, "parked"), (3, "waiting"), (4, "parked")]
    assert sink.endings() == {"applied": 3, "dead_lettered": 3}


@pytest.mark.parametrize("length", [1, 64, 65, 300_000])
def test_a_parked_key_is_remembered_over_a_restart(handled_by: Callable[..., Sink], length: int) -> None:
    sink = handled_by(fails_on_bad)
    sink.send(Out(1, "bad", key="a" * length), Out(2, "good", key="a" * length), Out(3, "good", key="b" * length))
    sink.run()
    sink.send(Out(4, "good", key="a" * length), Out(5, "good", key="b" * length))
    sink.run()
    assert effects(sink) == [3, 5]
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting")]


def test_a_key_that_is_the_digest_of_a_parked_one_does_not_wait(handled_by: Callable[..., Sink]) -> None:
    sink = handled_by(fails_on_bad)
    digest = hashlib.sha512(b"a" * 65).digest()
    sink.send(Out(1, "bad", key=b"a" * 65), Out(2, "good", key=digest), Out(3, "good", key=b"\0" + digest))
    sink.run()
    assert effects(sink) == [2, 3]
    assert sink.dead_letters() == [(0, "parked")]


@pytest.mark.parametrize("length", [1, 64, 65])
def test_more_parked_keys_than_a_worker_keeps_hold_their_events_all_the_same(
    handled_by: Callable[..., Sink], monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    monkeypatch.setattr(settler, "MOST_PARKED_KEYS", 3)
    sink = handled_by(fails_on_bad, sink="batch_events = 1")
    sink.send(*(Out(number, "bad", key=str(number) * length) for number in range(1, 9)))
    with capture_logs() as lines:
        sink.run()
        sink.send(*(Out(10 + number, "good", key=str(number) * length) for number in range(1, 10)))
        sink.run()
    assert effects(sink) == [19]
    assert [state for _, state in sink.dead_letters()] == ["parked"] * 8 + ["waiting"] * 8
    assert "many-parked-keys" in [line["event"] for line in lines]


@pytest.mark.parametrize("kept", [3, 1000])
def test_a_parked_key_waits_no_more_once_it_is_resolved(
    handled_by: Callable[..., Sink], monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(settler, "MOST_PARKED_KEYS", kept)
    sink = handled_by(fails_on_bad)
    sink.send(*(Out(number, "bad", key=str(number)) for number in range(1, 6)))
    with sink.running():
        sink.eventually_settled(5)
        sink.send(Out(11, "good", key="1"))
        sink.eventually_settled(6)
        assert sink.command("dead-letters", "discard", "--all", "--key", "1", "--execute") == 0
        sink.send(Out(12, "good", key="1"), Out(13, "good", key="2"))
        sink.eventually_settled(8)
        assert effects(sink) == [12]
        assert sink.dead_letters()[-2:] == [(5, "discarded"), (7, "waiting")]
        # Nothing is read of a partition without any parked key.
        assert sink.command("dead-letters", "discard", "--all", "--execute") == 0
        sink.send(Out(14, "good", key="2"))
        sink.eventually_settled(9)
    assert effects(sink) == [12, 14]


def test_without_order_later_events_of_a_parked_key_go_on(handled_by: Callable[..., Sink]) -> None:
    sink = handled_by(fails_on_bad, rest='[failures]\norder = "none"')
    sink.send(*BAD_AMONG_GOOD)
    sink.run()
    assert effects(sink) == [1, 3, 4, 6]
    assert sink.dead_letters() == [(1, "parked"), (4, "parked")]


def test_with_order_halt_the_first_dead_letter_stops_the_sink_before_it(handled_by: Callable[..., Sink]) -> None:
    sink = handled_by(fails_on_bad, rest='[failures]\norder = "halt"', sink="batch_events = 1")
    sink.send(*BAD_AMONG_GOOD)
    for _ in range(2):
        with pytest.raises(HaltError, match=rf"cannot apply {sink.topic}\[0\]@1"):
            sink.run()
        assert effects(sink) == [1]
        assert sink.dead_letters() == []
        assert sink.next_offsets() == {0: 1}


def test_with_order_halt_all_that_is_before_the_event_in_its_batch_is_kept(handled_by: Callable[..., Sink]) -> None:
    sink = handled_by(fails_on_bad, rest='[failures]\norder = "halt"')
    sink.send(Out(1, "good"), Out(2, "good"), Out(3, "bad"), Out(4, "good"))
    for _ in range(2):
        with pytest.raises(HaltError, match=rf"cannot apply {sink.topic}\[0\]@2"):
            sink.run()
        assert effects(sink) == [1, 2]
        assert sink.next_offsets() == {0: 2}
        assert sink.dead_letters() == []


def test_a_header_whose_name_is_no_text_parks_its_event_and_no_other(handled_by: Callable[..., Sink]) -> None:
    sink = handled_by(fails_on_bad)
    sink.send(Out(1, "good"))
    raw_headers.produce(sink.bootstrap_servers, sink.topic, b'"good"', [(b"\xff\xfe", b"x"), (b"event_id", b"2")])
    sink.send(Out(3, "good"))
    sink.run()
    assert effects(sink) == [1, 3]
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.column("SELECT value FROM inbox.dead_letters") == [b'"good"']
    assert "a header's name is not valid UTF-8" in sink.dead_letter_errors()[0]
