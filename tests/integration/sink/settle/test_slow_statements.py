"""Statements that the server cancels (57014): one event that is slow is parked, a slow database is waited for."""

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
