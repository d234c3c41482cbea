"""Statements that the server cancels (57014): one event that is slow is parked, a slow database is waited for."""

from collections.abc import Callable

import pytest

from inbox import Event, Transaction
from tests.support.sink.amounts import ROUTE, TABLE, out
from tests.support.sink.running import Sink
from tests.support.waiting import eventually
from tests.support.watching import watched_sink

ATTEMPTS = "[failures]\nattempts = 2"


def cancels(condition: str) -> str:
    """A trigger during which the server cancels the statement, as statement_timeout does."""
    return f"""
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF {condition} THEN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(5); END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow()
"""


def prepared(sink: Sink) -> None:
    sink.sql(TABLE)
    sink.configure(ROUTE, rest=ATTEMPTS)


def test_a_database_that_is_slow_for_everybody_parks_nothing(sink: Sink) -> None:
    prepared(sink)
    with watched_sink(sink) as running:
        sink.send(*(out(number) for number in range(1, 11)))
        sink.eventually_settled(10)
        sink.sql(cancels("true"))
        sink.send(*(out(number) for number in range(11, 19)))
        eventually(
            lambda: "so does an event that applied before" in str(running.worker.progress.waiting_for),
            what="the sink to say that the database is slow",
        )
        running.stays_away(3)
        assert sink.dead_letters() == []
        sink.sql("DROP TRIGGER slow ON t")
        sink.eventually_settled(18)
        running.eventually_ready()
    assert sink.endings() == {"applied": 18}


def test_an_event_that_is_slow_alone_is_parked_after_its_attempts(sink: Sink) -> None:
    prepared(sink)
    sink.sql(cancels("NEW.amount = 13"))
    with sink.running():
        sink.send(*(out(number) for number in range(1, 11)))
        sink.eventually_settled(10)
        sink.send(out(11, 13))
        sink.eventually_settled(11)
    assert sink.dead_letters() == [(10, "parked")]
    assert "again and again" in sink.dead_letter_errors()[0]


def test_a_slow_event_that_is_the_first_after_a_start_is_found_by_those_behind_it(sink: Sink) -> None:
    prepared(sink)
    sink.sql(cancels("NEW.amount = 13"))
    sink.send(out(1, 13), *(out(number) for number in range(2, 8)))
    with sink.running():
        sink.eventually_settled(7)
    assert sink.dead_letters() == [(0, "parked")]
    assert sink.column("SELECT id FROM t ORDER BY id") == list(range(2, 8))


# Limits of the user's.

SLOW_LEDGER = """
CREATE FUNCTION slow_ledger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.5); RETURN NEW; END $$;
CREATE TRIGGER slow_ledger BEFORE UPDATE ON inbox.partitions FOR EACH ROW EXECUTE FUNCTION slow_ledger()
"""
LIMITED = """
CREATE FUNCTION limited() RETURNS text LANGUAGE sql AS $$ SELECT set_config('statement_timeout', '300ms', false) $$
"""


@pytest.mark.parametrize(
    "limit", ["SET statement_timeout = '300ms'", "SET LOCAL statement_timeout = '300ms'", "SELECT limited()"]
)
def test_a_limit_that_a_handler_sets_is_none_of_the_sinks(handled_by: Callable[..., Sink], limit: str) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.id.int,))
        tx.execute(limit)

    sink = handled_by(handler)
    sink.command("migrate")
    sink.sql(f"{LIMITED}; {SLOW_LEDGER}")
    sink.send(*(out(number) for number in range(1, 6)))
    sink.run()
    assert sink.endings() == {"applied": 5}


def test_a_limit_that_a_trigger_sets_is_none_of_the_sinks(sink: Sink) -> None:
    prepared(sink)
    sink.command("migrate")
    sink.sql(
        f"{LIMITED}; {SLOW_LEDGER}; CREATE FUNCTION limit_it() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM limited(); RETURN NEW; END $$;"
        "CREATE TRIGGER limit_it BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION limit_it()"
    )
    sink.send(*(out(number) for number in range(1, 1200)))
    sink.run()
    assert sink.endings() == {"applied": 1199}


def test_a_limit_that_a_handler_sets_too_low_for_itself_is_named(handled_by: Callable[..., Sink]) -> None:
    def handler(event: Event, tx: Transaction) -> None:
        tx.execute("SET LOCAL statement_timeout = '5ms'")
        tx.execute("SELECT pg_sleep(0.2)")

    sink = handled_by(handler)
    sink.send(*(out(number) for number in range(1, 4)))
    with watched_sink(sink) as running:
        running.eventually_away()
        assert "the handler itself sets statement_timeout" in str(running.worker.progress.waiting_for)


def test_a_limit_of_the_database_that_stops_the_sink_is_named(sink: Sink) -> None:
    prepared(sink)
    sink.sql(
        """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION slow();
        DO $$ BEGIN EXECUTE format('ALTER DATABASE %%I SET statement_timeout = 500', current_database()); END $$"""
    )
    sink.send(out(1))
    with watched_sink(sink) as running:
        running.eventually_away()
        assert "statement_timeout is 0.5 s, by ALTER DATABASE" in str(running.worker.progress.waiting_for)
