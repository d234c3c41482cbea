"""Parked events that the running sink tries again by itself, on real servers."""

import os
from collections.abc import Callable
from contextlib import closing

import pytest

from inbox.errors import TryAgainError
from inbox.events import Event
from inbox.handlers import Transaction
from inbox.operations.dead_letters.resolve import find_targets
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.letters.resolver import LetterResolver, NotOwnedError, Unit
from inbox.store.postgres.connection import connect
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store
from tests.integration.sink.conftest import Fussy, numbered
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

SOON = '[failures]\nretry_after = ["1s", "1s"]'


def applied(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


def states(sink: Sink) -> dict[str, int]:
    return dict(sink.sql("SELECT state, count(*)::int FROM inbox.dead_letters GROUP BY state"))


def retries(sink: Sink) -> list[int]:
    return sink.column("SELECT retries FROM inbox.dead_letters WHERE state = 'parked' ORDER BY kafka_offset")


def test_a_parked_key_is_tried_again_in_its_order_and_new_events_follow(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    sink = handled_by(fussy, rest=SOON)
    fussy.refused = {1}
    sink.send(*(numbered(number, "a") for number in (1, 2, 3)), numbered(4, "b"))
    with sink.running():
        eventually(lambda: states(sink) == {"parked": 1, "waiting": 2}, what="a parked key")
        fussy.refused = set()
        eventually(lambda: states(sink) == {"retried": 3}, what="the key to be tried again")
        sink.send(numbered(5, "a"))
        eventually(lambda: len(applied(sink)) == 5, what="the next event of the key")
    assert applied(sink) == [4, 1, 2, 3, 5]
    assert set(sink.column("SELECT resolved_by FROM inbox.dead_letters")) == {"[failures] retry_after"}
    assert sink.column("SELECT count(*) FROM inbox.processed") == [5]


def test_after_the_last_try_it_stays_parked(handled_by: Callable[..., Sink], fussy: Fussy) -> None:
    sink = handled_by(fussy, rest=SOON)
    fussy.refused = {1}
    sink.send(numbered(1, "a"), numbered(2, "a"))
    with sink.running():
        eventually(lambda: retries(sink) == [2], what="two tries")
        attempts = "SELECT attempts FROM inbox.dead_letters ORDER BY kafka_offset"
        eventually(lambda: sink.column(attempts) == [3, 0], what="the last try")
    assert sink.column("SELECT retry_at FROM inbox.dead_letters") == [None, None]
    assert states(sink) == {"parked": 1, "waiting": 1}
    assert applied(sink) == []


def test_a_value_that_no_column_takes_is_never_tried_again(sink: Sink) -> None:
    sink.sql("CREATE TABLE public.numbers (id text PRIMARY KEY, n int CHECK (n > 0))")
    sink.configure(
        '[[routes]]\ntopic = "TOPIC"\n[routes.table]\nname = "public.numbers"\nmode = "upsert"\nkey = ["id"]\n'
        '[routes.table.columns]\nid = "$key"\nn = "/n"\n',
        rest=SOON,
    )
    sink.send(Out(1, {"n": "many"}, "a"), Out(2, {"n": -1}, "b"), Out(3, {"n": 1}, "c"))
    sink.run()
    assert sink.sql("SELECT cause_kind, retry_at IS NULL FROM inbox.dead_letters ORDER BY kafka_offset") == [
        ("value", True),
        ("constraint", False),
    ]


def test_a_try_that_ends_the_process_is_counted_before_it_is_made(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    counted: list[int] = []

    def handler(event: Event, tx: Transaction) -> None:
        if event.json()["n"] in fussy.refused:
            counted.append(retries(sink)[0] if states(sink) else -1)
        fussy(event, tx)

    sink = handled_by(handler, rest=SOON)
    fussy.refused = {1}
    sink.send(numbered(1, "a"))
    with sink.running():
        eventually(lambda: len(counted) == 3, what="two tries")
    assert counted == [-1, 1, 2]


def test_a_worker_tries_nothing_in_a_partition_of_another(parked: Sink, fussy: Fussy) -> None:
    """Both count and try under the ledger's lock, which only the owner gets."""
    fussy.refused = set()
    tries, before = len(fussy.seen), parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1")
    settings = parked.settings()
    [[route_id, partition_id, key, owner]] = parked.sql(
        "SELECT route_id, partition_id, key, owner FROM inbox.dead_letters JOIN inbox.partitions USING (partition_id) "
        "WHERE dead_letter_id = 1"
    )
    unit = Unit(route_id=route_id, partition_id=partition_id, key=bytes(key), ids=(1,))
    with closing(Store(connect(settings.database), "inbox")) as store:
        session = HandlerSession(store.connection)
        bound = find_targets(settings, store, {"handler"}).bind(settings.routes[0], route_id, session, UnwatchedCalls())
        for name in ("another", owner):
            mine = LetterResolver(store, session, limits=settings.failures, by="a test", owner=name)
            if name == "another":
                with pytest.raises(NotOwnedError):
                    mine.postpone(unit, [1], [None])
                with pytest.raises(NotOwnedError):
                    mine.retry([unit], settings.routes[0], bound, at_most=10)
                assert (len(fussy.seen), parked.sql("SELECT * FROM inbox.dead_letters ORDER BY 1")) == (tries, before)
            else:
                assert mine.retry([unit], settings.routes[0], bound, at_most=10)[unit].applied == 3


def test_a_key_that_an_outage_holds_up_holds_up_no_other_that_is_due(
    handled_by: Callable[..., Sink], fussy: Fussy
) -> None:
    away: set[int] = set()

    def handler(event: Event, tx: Transaction) -> None:
        if event.json()["n"] in away:
            raise TryAgainError("a service that it needs is away")
        fussy(event, tx)

    sink = handled_by(handler, rest='[failures]\nretry_after = ["1h"]')
    fussy.refused = {1, 2, 3}
    sink.send(*(numbered(number, f"key-{number}") for number in (1, 2, 3, 4)))
    with sink.running():
        eventually(lambda: states(sink) == {"parked": 3}, what="three parked keys")
        away.add(2)
        fussy.refused = set()
        sink.sql("UPDATE inbox.dead_letters SET retry_at = now()")
        eventually(lambda: states(sink) == {"parked": 1, "retried": 2}, what="the other two keys")
    assert sorted(applied(sink)) == [1, 3, 4]


def test_many_keys_are_retried_in_order_beside_new_events(handled_by: Callable[..., Sink], fussy: Fussy) -> None:
    keys = int(os.environ.get("INBOX_TEST_RETRIED_KEYS", "40"))
    sink = handled_by(fussy, rest=SOON)
    fussy.refused = set(range(keys))
    sink.send(*(numbered(number, f"key-{number % keys}") for number in range(keys * 5)))
    with sink.running():
        eventually(lambda: states(sink) == {"parked": keys, "waiting": keys * 4}, what="every key to be parked")
        fussy.refused = set()
        sink.send(*(numbered(number, f"key-{number % keys}") for number in range(keys * 5, keys * 10)))
        eventually(lambda: len(applied(sink)) == keys * 10, what="all events")
    assert sorted(applied(sink)) == list(range(keys * 10))
    for key in range(keys):
        assert [number for number in applied(sink) if number % keys == key] == list(range(key, keys * 10, keys))
