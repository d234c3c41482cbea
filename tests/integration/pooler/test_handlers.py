"""What handlers leave in a session, of their own or shared with others."""

from collections.abc import Callable
from typing import Any

import pytest

from inbox import Event, Transaction
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE
from tests.support.pooler import PgBouncer, state_of
from tests.support.sink.running import Out, Sink

LEFT = (
    "SET search_path = pg_catalog",
    "SET TimeZone = 'Asia/Kathmandu'",
    "SET work_mem = '77MB'",
    "SET synchronous_commit = off",
    "SELECT set_config('of.a_handler', 'tenant 7', false)",
    "SET ROLE pg_read_all_data",
    "RESET ROLE",
    "SET default_transaction_read_only = on",
    "SET default_transaction_isolation = 'serializable'",
    "SELECT pg_advisory_lock(77)",
    "SELECT pg_advisory_lock_shared(78)",
    "CREATE TEMPORARY TABLE left_behind (x int)",
    "LISTEN left_behind",
    "DECLARE left_behind CURSOR WITH HOLD FOR SELECT 1",
    "PREPARE left_behind AS SELECT 1",
)


def state(tx: Transaction) -> dict[str, Any]:
    return state_of(tx.connection.connection.driver_connection)  # type: ignore[arg-type]


@pytest.fixture(params=["direct", "pooled"])
def way(request: pytest.FixtureRequest, sink: Sink) -> str:
    """The URL by which the sink reaches its database."""
    if request.param == "direct":
        return sink.database_url
    pooler: PgBouncer = request.getfixturevalue("any_pooler")(pool_size=3)
    return pooler.url(sink.database_url)


@pytest.mark.parametrize("fails", [False, True], ids=["applied", "parked"])
def test_the_next_batch_finds_nothing_of_what_a_handler_did_to_the_session(
    way: str, fails: bool, sink: Sink, offer: Callable[..., None]
) -> None:
    found: list[dict[str, Any]] = []

    def handler(event: Event, tx: Transaction) -> None:
        found.append(state(tx))
        for statement in LEFT:
            tx.execute(statement)
        if fails:
            raise ValueError("after all of it")
        tx.execute("INSERT INTO public.effects (event) VALUES (%s)", (event.id.int,))

    offer(handler=handler)
    sink.configure(HANDLER_ROUTE, sink="batch_events = 1", rest="[failures]\nattempts = 1", database_url=way)
    sink.sql(EFFECTS)
    sink.send(Out(1), Out(2))
    sink.run()
    assert len(found) >= 2
    different = {name: set(found[-1][name]) ^ set(before) for name, before in found[0].items()}
    assert not any(different.values()), different
    assert sink.endings() == ({"dead_lettered": 2} if fails else {"applied": 2})


@pytest.mark.parametrize("sessions", [1, 2])
def test_a_pool_that_is_too_small_for_handlers_is_named_at_the_start(
    sessions: int,
    any_pooler: Callable[..., PgBouncer],
    sink: Sink,
    offer: Callable[..., None],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The notes of a handler's events would wait for the session of the batch, which waits for the handler."""
    offer(handler=lambda event, tx: None)
    url = any_pooler(pool_size=sessions).url(sink.database_url)
    sink.configure(HANDLER_ROUTE, database_url=url, database='start_timeout = "7s"')
    sink.send(Out(1))
    assert sink.command("run", "--until-end") == 1
    assert "does not give 3 sessions at a time" in capsys.readouterr().err
