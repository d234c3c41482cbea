"""Handlers: what they are given, and what becomes of an event whose handler fails."""

import asyncio
import concurrent.futures
import gc
import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from uuid import UUID

import psycopg
import pytest
import sqlalchemy
from opentelemetry.sdk.trace import TracerProvider
from sqlalchemy.orm import Session, registry

import inbox
from inbox import Event, EventError, Events, HaltError, StartupError, Transaction, TryAgainError
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.bootstrap.tracing.spans import Spans
from inbox.sink.writer_thread import Writer
from tests.integration.sink.conftest import EFFECTS
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

HandledBy = Callable[..., Sink]


def apply(event: Event, tx: Transaction) -> None:
    """The effect that the tests look for."""
    key = event.key.decode() if event.key else None
    tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (event.id.int, key))


def effects(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def test_a_handler_sees_the_whole_event(handled_by: HandledBy) -> None:
    seen: list[Event] = []
    sink = handled_by(lambda event, tx: seen.append(event))
    sink.send(Out(7, {"sku": "A-1"}, key="k", headers={"type": "Made", "empty": None}))
    sink.run()
    [event] = seen
    assert (event.id.int, event.topic, event.partition, event.offset) == (7, sink.topic, 0, 0)
    assert (event.key, event.json(), event.header("type"), event.header("empty")) == (
        b"k",
        {"sku": "A-1"},
        b"Made",
        None,
    )
    assert event.timestamp is not None


def test_the_polling_thread_does_not_wait_for_a_handler(handled_by: HandledBy, monkeypatch: pytest.MonkeyPatch) -> None:
    happened: list[str] = []
    note = Writer._note_started

    def noted(writer: Writer) -> None:
        happened.append("under way")
        note(writer)

    monkeypatch.setattr(Writer, "_note_started", noted)
    sink = handled_by(lambda event, tx: happened.append("handled"))
    sink.send(Out(1))
    sink.run()
    assert happened[:2] == ["under way", "handled"]


def test_a_class_with_a_call_method_is_a_handler(handled_by: HandledBy) -> None:
    class Apply:
        def __call__(self, event: Event, tx: Transaction) -> None:
            apply(event, tx)

    sink = handled_by(Apply)
    sink.send(Out(1))
    sink.run()
    assert effects(sink) == [1]


def test_a_batch_handler_gets_new_events_together_in_order(handled_by: HandledBy) -> None:
    batches: list[list[int]] = []

    @inbox.handler(batch=True)
    def handler(events: Sequence[Event], tx: Transaction) -> None:
        batches.append([event.id.int for event in events])
        tx.executemany("INSERT INTO effects (event) VALUES (%s)", [(event.id.int,) for event in events])

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(1), Out(3))
    sink.run()
    assert effects(sink) == [number for batch in batches for number in batch] == [1, 2, 3]


def test_one_bad_event_of_a_batch_handler_is_found_and_parked_alone(handled_by: HandledBy) -> None:
    @inbox.handler(batch=True)
    def handler(events: Sequence[Event], tx: Transaction) -> None:
        for event in events:
            apply(event, tx)
        if any(event.id.int == 13 for event in events):
            raise EventError("thirteen")

    sink = handled_by(handler)
    sink.send(*(Out(number) for number in range(1, 21)))
    sink.run()
    assert effects(sink) == [number for number in range(1, 21) if number != 13]
    assert sink.dead_letters() == [(12, "parked")]


def test_a_batch_handler_reads_columns_without_an_event_for_each(handled_by: HandledBy) -> None:
    seen: list[tuple[object, ...]] = []

    @inbox.handler(batch=True)
    def handler(events: Events, tx: Transaction) -> None:
        seen.extend(zip(events.ids, events.types, events.keys, events.values, events.json(), strict=True))
        assert [(event.id, event.key, event.json()) for event in events] == [(a, c, e) for a, _, c, _, e in seen]
        assert (events[0].offset, [event.offset for event in events[1:]], len(events)) == (0, [1], 2)

    sink = handled_by(handler, rest='event_type = "header:type"')
    sink.send(Out(1, {"n": 1}, key="k", headers={"type": "Made"}), Out(2, [2]))
    sink.run()
    assert seen == [(UUID(int=1), "Made", b"k", b'{"n": 1}', {"n": 1}), (UUID(int=2), None, None, b"[2]", [2])]


def test_an_event_that_its_batch_handler_cannot_decode_is_parked_alone(handled_by: HandledBy) -> None:
    calls: list[int] = []

    @inbox.handler(batch=True)
    def handler(events: Events, tx: Transaction) -> None:
        calls.append(len(events))
        events.json()
        tx.executemany("INSERT INTO effects (event) VALUES (%s)", [(each.int,) for each in events.ids])

    sink = handled_by(handler)
    sink.send(*(Out(number, value=b"{" if number == 13 else b"{}") for number in range(1, 21)))
    sink.run()
    assert effects(sink) == [number for number in range(1, 21) if number != 13]
    assert sink.dead_letters() == [(12, "parked")]
    assert calls[0] == 20
    assert sum(calls[1:]) == 19


@pytest.mark.parametrize("index", [-1, 20, "2", None])
def test_an_index_that_names_no_event_of_the_batch_names_none(handled_by: HandledBy, index: object) -> None:
    @inbox.handler(batch=True)
    def handler(events: Events, tx: Transaction) -> None:
        if UUID(int=3) in events.ids:
            error = EventError("three")
            error.index = index  # type: ignore[assignment]
            raise error
        tx.executemany("INSERT INTO effects (event) VALUES (%s)", [(each.int,) for each in events.ids])

    sink = handled_by(handler)
    sink.send(*(Out(number) for number in range(1, 6)))
    sink.run()
    assert effects(sink) == [1, 2, 4, 5]


def test_event_error_parks_at_once_and_takes_the_effect_back(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2:
            raise EventError("no such order")

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]
    assert sink.sql("SELECT kafka_offset, error, attempts, state FROM inbox.dead_letters") == [
        (1, "no such order", 1, "parked")
    ]
    assert sink.endings() == {"applied": 2, "dead_lettered": 1}


def test_any_other_exception_is_tried_as_often_as_configured(handled_by: HandledBy) -> None:
    calls: list[int] = []

    def handler(event: Event, tx: Transaction) -> None:
        calls.append(event.id.int)
        apply(event, tx)
        if event.id.int == 2:
            raise ValueError("a defect")

    sink = handled_by(handler, rest="[failures]\nattempts = 3")
    sink.send(Out(1), Out(2))
    sink.run()
    assert calls.count(2) == 3
    assert sink.sql("SELECT error_class, attempts FROM inbox.dead_letters") == [("ValueError", 3)]
    assert effects(sink) == [1]


def test_an_exception_that_passes_costs_nothing(handled_by: HandledBy) -> None:
    failures = iter([ValueError("once"), ValueError("twice")])

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2 and (failure := next(failures, None)) is not None:
            raise failure

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 2, 3]
    assert sink.endings() == {"applied": 3}


def test_try_again_waits_and_is_never_a_dead_letter(handled_by: HandledBy) -> None:
    outages = iter(range(4))

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2 and next(outages, None) is not None:
            raise TryAgainError("the price service does not answer")

    sink = handled_by(handler, rest="[failures]\nattempts = 1")
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 2, 3]
    assert sink.dead_letters() == []


@pytest.mark.parametrize(
    "statement", ["INSERT INTO numbers VALUES (1)", "SELECT 1/0", "INSERT INTO numbers VALUES ('x')"]
)
def test_a_statement_that_fails_for_an_event_parks_that_event_alone(handled_by: HandledBy, statement: str) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2:
            tx.execute(statement)

    sink = handled_by(handler)
    sink.sql("CREATE TABLE numbers (number int UNIQUE); INSERT INTO numbers VALUES (1)")
    sink.send(*(Out(number) for number in range(1, 6)))
    sink.run()
    assert effects(sink) == [1, 3, 4, 5]
    assert sink.dead_letters() == [(1, "parked")]


@pytest.mark.parametrize("way", ["fetch_one", "connection"])
def test_a_database_error_that_the_handler_swallows_parks_the_event_all_the_same(
    handled_by: HandledBy, way: str
) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int != 2:
            return
        try:
            if way == "fetch_one":
                tx.fetch_one("SELECT 1/0")
            else:
                tx.connection.execute(sqlalchemy.text("SELECT 1/0"))
        except Exception:  # noqa: BLE001, S110 - what a careless handler does
            pass

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]
    assert sink.dead_letters() == [(1, "parked")]


def test_a_missing_table_is_an_outage_and_no_dead_letter(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO later VALUES (%s)", (event.id.int,))

    sink = handled_by(handler)
    sink.send(Out(1))
    with sink.running() as worker:
        eventually(lambda: worker.progress.waiting_for, what="the sink to say that it waits")
        assert "later" in str(worker.progress.waiting_for)
        sink.sql("CREATE TABLE later (event int)")
        sink.eventually_settled(1)
    assert sink.column("SELECT event FROM later") == [1]
    assert sink.dead_letters() == []


def commit_the_connection(tx: Transaction) -> None:
    tx.connection.commit()


def roll_the_connection_back(tx: Transaction) -> None:
    tx.connection.rollback()


def execute_commit(tx: Transaction) -> None:
    tx.execute("COMMIT")


def execute_commit_in_lower_case_behind_a_comment(tx: Transaction) -> None:
    tx.execute("/* done */ commit; SELECT 1")


def commit_in_sqlalchemy_text(tx: Transaction) -> None:
    tx.connection.execute(sqlalchemy.text("COMMIT"))


def commit_in_driver_sql(tx: Transaction) -> None:
    tx.connection.exec_driver_sql("COMMIT AND CHAIN")


def commit_on_the_driver_connection(tx: Transaction) -> None:
    driver_connection(tx).cursor().execute("COMMIT")


def call_commit_of_the_driver_connection(tx: Transaction) -> None:
    driver_connection(tx).commit()


def driver_connection(tx: Transaction) -> psycopg.Connection:
    connection = tx.connection.connection.driver_connection
    assert isinstance(connection, psycopg.Connection)
    return connection


@pytest.mark.parametrize(
    "end",
    [
        commit_the_connection,
        roll_the_connection_back,
        execute_commit,
        execute_commit_in_lower_case_behind_a_comment,
        commit_in_sqlalchemy_text,
        commit_in_driver_sql,
        commit_on_the_driver_connection,
        call_commit_of_the_driver_connection,
    ],
)
def test_a_handler_that_would_end_the_transaction_is_refused_and_its_event_parked(
    handled_by: HandledBy, end: Callable[[Transaction], None]
) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 2:
            end(tx)

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]
    assert sink.dead_letters() == [(1, "parked")]
    assert sink.endings() == {"applied": 2, "dead_lettered": 1}


@pytest.mark.parametrize("then", ["continues", "fails", "begins another"])
def test_a_commit_hidden_from_the_guard_stops_the_sink_before_the_ledger_moves(
    handled_by: HandledBy, then: str
) -> None:
    """The whole batch's claims are committed with it: continuing would take the rest for duplicates and lose it."""

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if event.id.int == 1:
            tx.connection.exec_driver_sql("SELECT 1; COMMIT" + ("; BEGIN" if then != "continues" else ""))
        if event.id.int == 2 and then == "fails":
            raise ValueError("after the commit")

    sink = handled_by(handler, rest="[failures]\nattempts = 1")
    sink.send(Out(1), Out(2), Out(3))
    with pytest.raises(HaltError, match="a handler ended the sink's transaction"):
        sink.run()
    assert sink.next_offsets() == {0: 0}


def test_a_session_of_the_orm_joins_the_transaction_and_its_commit_only_flushes(handled_by: HandledBy) -> None:
    table = sqlalchemy.Table(
        "effects", sqlalchemy.MetaData(), sqlalchemy.Column("event", sqlalchemy.Integer, primary_key=True)
    )

    class Effect:
        event: int

    registry().map_imperatively(Effect, table)

    def handler(event: Event, tx: Transaction) -> None:
        with Session(bind=tx.connection) as session:
            effect = Effect()
            effect.event = event.id.int
            session.add(effect)
            session.commit()
        if event.id.int == 2:
            raise EventError("not this one")

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]


def test_a_savepoint_of_the_handlers_own_may_fail(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        with suppress(sqlalchemy.exc.DBAPIError), tx.connection.begin_nested():
            tx.connection.execute(sqlalchemy.text("SELECT 1/0"))

    sink = handled_by(handler)
    sink.send(Out(1), Out(2))
    sink.run()
    assert effects(sink) == [1, 2]


def test_sqlalchemy_core_joins_the_transaction(handled_by: HandledBy) -> None:
    table = sqlalchemy.table("effects", sqlalchemy.column("event"))

    def handler(event: Event, tx: Transaction) -> None:
        tx.connection.execute(sqlalchemy.insert(table).values(event=event.id.int))
        if event.id.int == 2:
            raise EventError("not this one")

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]


def test_the_first_use_of_sqlalchemy_ends_no_transaction_that_has_begun(handled_by: HandledBy) -> None:
    seen: list[tuple[object, object]] = []

    def handler(event: Event, tx: Transaction) -> None:
        before = tx.fetch_one("SELECT pg_current_xact_id()::text")
        apply(event, tx)
        if event.id.int == 2:
            after = tx.connection.execute(sqlalchemy.text("SELECT pg_current_xact_id()::text")).scalar()
            seen.append((before, (after,)))

    sink = handled_by(handler)
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert seen
    assert all(before == after for before, after in seen)
    assert effects(sink) == [1, 2, 3]


def test_a_search_path_that_a_handler_changed_is_put_back_for_the_next_batch_and_told(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        tx.fetch_one("SELECT set_config('search_path', 'pg_catalog', false)")

    sink = handled_by(handler, sink="batch_events = 1")
    with capture_logs() as lines:
        sink.send(Out(1), Out(2))
        sink.run()
    assert effects(sink) == [1, 2]
    assert [line["found"] for line in lines if line["event"] == "handler-changed-search-path"] == ["pg_catalog"] * 2


def test_a_lock_that_a_handler_keeps_is_given_back_and_told(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        tx.execute("SELECT pg_advisory_lock(1)")

    sink = handled_by(handler)
    with capture_logs() as lines, sink.running():
        sink.send(Out(1))
        sink.eventually_settled(1)
        eventually(
            lambda: sink.column("SELECT pg_try_advisory_lock(1)") == [True],
            what="the end of the lock",
        )
    assert effects(sink) == [1]
    assert "handler-kept-a-lock" in [line["event"] for line in lines]


@pytest.mark.parametrize("local", ["", "LOCAL"])
def test_a_role_that_a_handler_takes_is_not_that_of_the_sinks_own_statements(handled_by: HandledBy, local: str) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute(f"SET {local} ROLE {role}")
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))
        if event.id.int == 2:
            raise EventError("no")

    sink = handled_by(handler)
    role = f"tenant_{sink.name.replace('-', '_')}"
    sink.sql(f"CREATE ROLE {role}")
    sink.sql(f"GRANT INSERT ON effects TO {role}")
    sink.send(*(Out(number) for number in (1, 2, 3)))
    with sink.running():
        sink.eventually_settled(3)
    assert effects(sink) == [1, 3]
    sink.sql(f"DROP OWNED BY {role}")
    sink.sql(f"DROP ROLE {role}")


def test_a_deferred_constraint_parks_its_event_alone(handled_by: HandledBy) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO lines VALUES (%s)", (99 if event.id.int == 3 else 1,))

    sink = handled_by(handler, rest='[failures]\nwait_for_rows = "0s"')
    sink.sql("CREATE TABLE orders (id int PRIMARY KEY); INSERT INTO orders VALUES (1)")
    sink.sql("CREATE TABLE lines (order_id int REFERENCES orders DEFERRABLE INITIALLY DEFERRED)")
    sink.send(*(Out(number) for number in range(1, 6)))
    sink.run()
    assert sink.column("SELECT count(*) FROM lines") == [4]
    assert sink.dead_letters() == [(2, "parked")]
    assert sink.endings() == {"applied": 4, "dead_lettered": 1}


def test_two_routes_of_one_topic_fail_apart(sink: Sink, offer: Callable[..., None]) -> None:
    def bad(event: Event, tx: Transaction) -> None:
        raise EventError("never")

    offer(good=apply, bad=bad)
    routes = '[[routes]]\ntopic = "TOPIC"\nhandler = "good"\n[[routes]]\ntopic = "TOPIC"\nhandler = "bad"\n'
    sink.configure(routes)
    sink.sql(EFFECTS)
    sink.send(Out(1), Out(2))
    sink.run()
    assert effects(sink) == [1, 2]
    assert sink.endings() == {"applied": 2, "dead_lettered": 2}


async def in_the_background(event: Event, tx: Transaction) -> None:
    apply(event, tx)


def lazily(event: Event, tx: Transaction) -> Iterator[None]:
    apply(event, tx)
    yield


def mapped(event: Event, tx: Transaction) -> object:
    return map(apply, [event], [tx])


def filtered(event: Event, tx: Transaction) -> object:
    return filter(lambda each: apply(each, tx) is None, [event])


def starred(event: Event, tx: Transaction) -> object:
    return itertools.starmap(apply, [(event, tx)])


def elsewhere(event: Event, tx: Transaction) -> object:
    """A future that nobody has begun to run."""
    return concurrent.futures.Future[None]()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("unfinished", [in_the_background, lazily, mapped, filtered, starred, elsewhere])
def test_an_event_whose_handler_returns_what_has_not_run_is_tried_and_parked(
    handled_by: HandledBy, unfinished: Callable[[Event, Transaction], object]
) -> None:
    """A success would be a claim without an effect."""

    def handler(event: Event, tx: Transaction) -> object:
        return unfinished(event, tx) if event.id.int == 2 else apply(event, tx)

    sink = handled_by(handler, rest="[failures]\nattempts = 3")
    sink.send(Out(1), Out(2), Out(3))
    sink.run()
    assert effects(sink) == [1, 3]
    assert sink.sql("SELECT kafka_offset, error_class, attempts FROM inbox.dead_letters") == [
        (1, "UnfinishedHandlerError", 3)
    ]
    assert sink.endings() == {"applied": 2, "dead_lettered": 1}
    gc.collect()


@pytest.mark.filterwarnings("error")
def test_a_batch_handler_that_returns_what_has_not_run_parks_its_events(handled_by: HandledBy) -> None:
    async def later(events: Sequence[Event], tx: Transaction) -> None: ...

    @inbox.handler(batch=True)
    def handler(events: Sequence[Event], tx: Transaction) -> object:
        return later(events, tx)

    sink = handled_by(handler, rest="[failures]\nattempts = 1")
    sink.send(Out(1), Out(2))
    sink.run()
    assert sink.endings() == {"dead_lettered": 2}
    assert sink.column("SELECT count(*) FROM inbox.processed") == [0]
    gc.collect()


def test_a_result_that_has_not_run_is_seen_below_a_trace_too(handled_by: HandledBy) -> None:
    sink = handled_by(lambda event, tx: in_the_background(event, tx), rest="[failures]\nattempts = 1")
    sink.send(Out(1))
    sink.run(tracing=SinkTracing(Spans(TracerProvider()), "a-group"))
    assert sink.endings() == {"dead_lettered": 1}


@pytest.mark.parametrize("command", [("run", "--until-end"), ("check",)])
def test_every_command_that_loads_handlers_refuses_an_async_one(
    handled_by: HandledBy, command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    sink = handled_by(in_the_background)
    sink.send(Out(1))
    assert sink.command(*command) == (1 if command == ("check",) else 3)
    said = capsys.readouterr()
    assert "is an `async def` function, whose call runs nothing" in said.out + said.err
    assert sink.column("SELECT count(*) FROM inbox.processed") == [0]


class UnspeakableError(Exception):
    """An error that fails to say anything."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class OwnBaseError(BaseException):
    """No Exception, as those of some test and worker libraries."""


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (SystemExit("no stock"), "SystemExit: no stock"),
        (asyncio.CancelledError(), "CancelledError"),
        (GeneratorExit(), "GeneratorExit"),
        (KeyboardInterrupt(), "KeyboardInterrupt"),
        (StopIteration(), "StopIteration"),
        (OwnBaseError("own"), "OwnBaseError: own"),
        (BaseExceptionGroup("several", [SystemExit(1)]), "several (1 sub-exception)"),
        (StartupError("the shop's settings are missing"), "the shop's settings are missing"),
        (inbox.InboxError("nothing of the four"), "nothing of the four"),
        (UnspeakableError(), "UnspeakableError (its text is not available: RuntimeError)"),
    ],
)
def test_whatever_a_handler_raises_is_its_events_and_the_sink_stays(
    handled_by: HandledBy, raised: BaseException, said: str
) -> None:
    calls: list[int] = []

    def handler(event: Event, tx: Transaction) -> None:
        calls.append(event.id.int)
        apply(event, tx)
        if event.id.int == 2:
            raise raised

    sink = handled_by(handler, rest="[failures]\nattempts = 3")
    sink.send(Out(1), Out(2), Out(3))
    with sink.running():
        sink.eventually_settled(3)
    assert calls.count(2) == 3
    assert sink.sql("SELECT kafka_offset, error_class, attempts FROM inbox.dead_letters") == [
        (1, type(raised).__name__, 3)
    ]
    assert said in f"{sink.dead_letter_errors()[0]}\n{sink.dead_letter_details()[0]}"
    assert effects(sink) == [1, 3]


def test_an_outage_of_a_handlers_own_class_needs_nothing_of_its_base(handled_by: HandledBy) -> None:
    class BusyError(TryAgainError):
        def __init__(self, seconds: int) -> None:
            self.seconds = seconds

        def __str__(self) -> str:
            raise RuntimeError("no words")

    outages = iter(range(2))

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if next(outages, None) is not None:
            raise BusyError(3)

    sink = handled_by(handler)
    sink.send(Out(1))
    with sink.running():
        sink.eventually_settled(1)
    assert effects(sink) == [1]
    assert sink.dead_letters() == []


@pytest.mark.parametrize("raised", [SystemExit(0), asyncio.CancelledError()])
def test_a_retry_survives_a_handler_that_would_end_it(handled_by: HandledBy, raised: BaseException) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        raise raised

    sink = handled_by(handler, rest="[failures]\nattempts = 1")
    sink.send(Out(1))
    sink.run()
    assert sink.command("dead-letters", "retry", "--all", "--execute") == 1
    assert sink.sql("SELECT state, attempts FROM inbox.dead_letters") == [("parked", 2)]


def test_a_shadow_replay_survives_a_handler_that_would_end_it(
    handled_by: HandledBy, capsys: pytest.CaptureFixture[str]
) -> None:
    fails = iter([False])

    def handler(event: Event, tx: Transaction) -> None:
        apply(event, tx)
        if next(fails, True):
            raise SystemExit(0)

    sink = handled_by(handler, rest="[failures]\nattempts = 1")
    sink.send(Out(1))
    sink.run()
    capsys.readouterr()
    shadow = ("replay", "--topic", sink.topic, "--from-earliest", "--mode", "shadow", "--execute", "--json")
    assert sink.command(*shadow) in (0, 1)
    assert "SystemExit in " in capsys.readouterr().out
