"""What a handler publishes commits with its event, and never twice."""

from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg import conninfo, sql
from pydantic import SecretStr

from inbox.errors import EventError, HaltError, TryAgainError
from inbox.events import Event
from inbox.failure_policy import FailureLimits
from inbox.handlers import LoadedHandler, Transaction
from inbox.sink.batch import Batch, PartitionBatch, RouteEvents
from inbox.sink.guards.crash_poison import CrashPoisonTracker
from inbox.sink.guards.dead_letter_limit import LetterLimit
from inbox.sink.guards.guard import Guards
from inbox.sink.guards.handler_calls import WatchedCalls
from inbox.sink.guards.parked_by_hand import HandParked
from inbox.sink.guards.row_waits import RowWaits
from inbox.sink.guards.row_watch import RowWatch
from inbox.sink.guards.time_limit import TimeLimit
from inbox.sink.outcome import LettersTried
from inbox.sink.settle.all_routes import Routes
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.dead_lettering import DeadLetterWriter
from inbox.sink.settle.effects import HandlerEffect
from inbox.sink.settle.ownership import Ownership
from inbox.sink.settle.parked_keys import ParkedKeys, ParkedKeysGuard
from inbox.sink.settle.settled_before import SettledBefore
from inbox.sink.settle.settler import Settler, WorkerIdentity
from inbox.store.inbox.handler_calls import HandlerCallNotes
from inbox.store.inbox.ledger import Ledger
from inbox.store.options import DatabaseOptions, OutboxOptions, OutboxPayload
from inbox.store.outbox.publisher import Outbox
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import Connection, connect
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.privileges.check import missing_rights
from inbox.store.schema.migrate import migrate
from inbox.store.store import Store
from tests.integration.store.conftest import P0, Bind
from tests.support.records import record

JSON, BYTEA = OutboxOptions(), OutboxOptions(payload=OutboxPayload.BYTEA)
EVENT, OTHER = UUID(int=1), UUID(int=2)

Handle = Callable[[Any, Transaction], None]


class Desk:
    """Settles events of `orders[0]` through one handler route, batch after batch."""

    def __init__(self, connection: Connection, bind: Bind, url: str, outbox: OutboxOptions | None = JSON) -> None:
        migrate(DatabaseOptions(url=SecretStr(url)), outbox=outbox)
        self._connection = connection
        self._outbox = outbox
        self._registration = bind()
        self._parked = ParkedKeys(1000)
        Ledger(connection, "inbox").add("cluster-1", None, {P0: 0})

    def settle(self, handle: Handle, *ids: UUID, batch: bool = False, sink: str = "inventory") -> None:
        outbox = Outbox("inbox", self._outbox, sink=sink, route="reserve") if self._outbox else None
        route_id = self._registration.route_ids["reserve"]
        # Nothing is young here, so that a batch handler gets its batch.
        crash_poison = CrashPoisonTracker(
            lambda: HandlerCallNotes(self._connection, "inbox", "me"), young_events=0, attempts=1
        )
        session = HandlerSession(self._connection)
        calls = WatchedCalls(route_id, TimeLimit(60), crash_poison)
        effect = HandlerEffect(session, LoadedHandler("reserve", handle, batch), outbox, calls)
        settler = self._settler(session, BoundRoute("reserve", route_id, effect, handlers=True), crash_poison)
        (holding,) = settler.acquire([P0])
        start = holding.next_offset
        records = [record(start + place) for place in range(len(ids))]
        events = RouteEvents([each.bytes for each in ids], [None] * len(ids), list(records))
        part = PartitionBatch(
            P0, holding.partition_id, holding.owner_epoch, start, start + len(ids), {"reserve": events}
        )
        settled = settler.settle(Batch({P0: part}))
        assert not settled.fenced

    def _settler(self, session: HandlerSession, route: BoundRoute, crash_poison: CrashPoisonTracker) -> Settler:
        """A settler that takes every log for the ledger's."""
        store, limits = Store(self._connection, "inbox"), FailureLimits(attempts=1)
        transaction = BatchTransaction(self._connection, handlers=True)
        parked_keys = ParkedKeysGuard(self._parked, store.dead_letters, limits.order)
        letter_limit = LetterLimit(store.dead_letters, limits.halt_above)
        hand_parked = HandParked(store.dead_letters)
        guards = Guards(parked_keys, letter_limit, hand_parked)
        context = SettleContext(self._connection, session, transaction, store.claims, limits)
        return Settler(
            store,
            WorkerIdentity("me", self._registration.routes_revision),
            routes=Routes(
                context,
                [route],
                crash_poison=crash_poison,
                hand_parked=hand_parked,
                parked_keys=parked_keys,
                settled_before=SettledBefore(store, transaction),
            ),
            parking=DeadLetterWriter(store.dead_letters, limits),
            ownership=Ownership(
                store, "me", guards, letter_limit, parked_keys, introduce=lambda *_: None, takeover_seconds=0
            ),
            guards=guards,
            row_watch=RowWatch(RowWaits(0), store.ledger, ["orders"], lambda _: {}),
            retry_letters=lambda _: LettersTried(more=False),
        )

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return self._connection.execute(query.encode()).fetchall()

    def published(self) -> list[UUID]:
        return [row[0] for row in self.rows("SELECT event_id FROM inbox.outbox ORDER BY position")]

    def parked(self) -> list[str]:
        return [row[0] for row in self.rows("SELECT error FROM inbox.dead_letters ORDER BY kafka_offset")]

    def forget_claims(self) -> None:
        self._connection.execute("DELETE FROM inbox.processed")


@pytest.fixture(name="desk")
def desk_(connection: Connection, bind: Bind, database_url: str) -> Desk:
    """A schema with an outbox of JSON."""
    return Desk(connection, bind, database_url)


def reserve(event: Event, tx: Transaction) -> None:
    tx.publish("stock", {"offset": event.offset}, type="StockReserved", key="sku-1")


def test_an_event_publishes_one_row_in_the_transaction_of_its_claim(desk: Desk) -> None:
    desk.settle(reserve, EVENT)

    assert desk.rows("SELECT topic, aggregate_id, type, payload::text, traceparent FROM inbox.outbox") == [
        ("stock", "sku-1", "StockReserved", '{"offset":0}', None)
    ]
    assert desk.rows(
        "SELECT pg_visible_in_snapshot(o.transaction_id, pg_current_snapshot()), "
        "o.created_at = p.processed_at FROM inbox.outbox o, inbox.processed p"
    ) == [(True, True)]


def test_what_a_failed_event_published_goes_with_it(desk: Desk) -> None:
    def fail_for_other(event: Event, tx: Transaction) -> None:
        reserve(event, tx)
        if event.id == OTHER:
            raise EventError("out of stock")

    desk.settle(fail_for_other, EVENT, OTHER, UUID(int=3))

    assert desk.rows("SELECT payload::text FROM inbox.outbox ORDER BY position") == [
        ('{"offset":0}',),
        ('{"offset":2}',),
    ]
    assert desk.parked() == ["out of stock"]


def test_what_a_rolled_back_batch_published_goes_with_it(desk: Desk) -> None:
    def lose_the_database(event: Event, tx: Transaction) -> None:
        reserve(event, tx)
        raise TryAgainError("away")

    with pytest.raises(TryAgainError):
        desk.settle(lose_the_database, EVENT)

    assert desk.published() == []


def test_a_redelivered_event_publishes_nothing_more(desk: Desk) -> None:
    desk.settle(reserve, EVENT)
    desk.settle(reserve, EVENT)

    assert len(desk.published()) == 1


def test_a_replay_without_its_claim_publishes_the_same_id(desk: Desk) -> None:
    desk.settle(reserve, EVENT)
    before = desk.published()
    desk.forget_claims()
    desk.settle(reserve, EVENT)

    assert desk.published() == before

    desk.forget_claims()
    desk.rows("DELETE FROM inbox.outbox RETURNING event_id")
    desk.settle(reserve, OTHER, EVENT)

    assert desk.published()[1:] == before


def test_each_event_that_an_event_publishes_has_an_id_of_its_own(desk: Desk) -> None:
    def twice(event: Event, tx: Transaction) -> None:
        reserve(event, tx)
        reserve(event, tx)

    desk.settle(twice, EVENT, OTHER)

    assert len(set(desk.published())) == 4


def test_two_sinks_publish_for_one_event_under_different_ids(desk: Desk) -> None:
    desk.settle(reserve, EVENT)
    desk.forget_claims()
    desk.settle(reserve, EVENT, sink="billing")

    assert len(desk.published()) == 2


def test_an_id_that_the_handler_gives_is_kept_and_not_counted(desk: Desk) -> None:
    given = uuid4()

    def with_a_given_one(event: Event, tx: Transaction) -> None:
        tx.publish("stock", {}, type="Given", event_id=given)
        reserve(event, tx)

    desk.settle(reserve, EVENT)
    (derived,) = desk.published()
    desk.forget_claims()
    desk.settle(with_a_given_one, EVENT)

    assert desk.published() == [derived, given]


def test_a_batch_handler_gives_the_ids_itself(desk: Desk) -> None:
    def publish_each(events: Sequence[Event], tx: Transaction) -> None:
        for event in events:
            tx.publish("stock", {}, type="StockReserved", event_id=event.id)

    desk.settle(publish_each, EVENT, OTHER, batch=True)

    assert desk.published() == [EVENT, OTHER]


def test_a_batch_handler_that_gives_none_is_told_so(desk: Desk) -> None:
    def publish(events: Sequence[Event], tx: Transaction) -> None:
        tx.publish("stock", {}, type="StockReserved")

    desk.settle(publish, EVENT, batch=True)

    assert desk.published() == []
    assert desk.parked()[0].startswith("a batch handler publishes without event_id")


@pytest.mark.parametrize(
    ("payload", "stored"),
    [
        ({"a": "é"}, '{"a":"é"}'),
        ([1, None], "[1,null]"),
        ('{"price": 1.50}', '{"price": 1.50}'),
        (b' "x" ', ' "x" '),
        ({"id": 2**64, "price": Decimal("1.50")}, '{"id":18446744073709551616,"price":1.50}'),
        ("[1e400]", "[1e400]"),
    ],
)
def test_a_json_payload_is_stored_as_it_was_given(desk: Desk, payload: Any, stored: str) -> None:
    desk.settle(lambda event, tx: tx.publish("stock", payload, type="t"), EVENT)

    assert desk.rows("SELECT payload::text FROM inbox.outbox") == [(stored,)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"payload": "no json"}, "the payload to publish is not valid JSON: "),
        ({"payload": '{"a": "\\u0000"}'}, "the payload to publish is not valid JSON: a text in it holds NUL"),
        ({"payload": '{"a": "\ud800"}'}, "the payload to publish is not valid JSON: it holds a lone surrogate"),
        ({"payload": {"a": float("nan")}}, "cannot be written as JSON: NaN and Infinity are not JSON"),
        ({"payload": b"\xff"}, "not valid UTF-8"),
        ({"payload": {"at": object()}}, "cannot be written as JSON: Type is not JSON serializable: object"),
        ({"payload": None}, "the payload of an event to publish is of type NoneType; pass a dict, list, str or bytes"),
        ({"key": 7}, "the key of an event to publish is of type int; pass a str"),
        ({"event_id": "x"}, "the event_id of an event to publish is of type str; pass a uuid.UUID"),
        ({"topic": "no topic"}, "outbox_topic_check"),
    ],
)
def test_what_cannot_be_published_parks_its_event_alone(desk: Desk, arguments: dict[str, Any], error: str) -> None:
    def publish(event: Event, tx: Transaction) -> None:
        wrong = arguments if event.id == EVENT else {}
        tx.publish(**{"topic": "stock", "payload": {}, "type": "t", **wrong})

    desk.settle(publish, OTHER, EVENT)

    assert len(desk.published()) == 1
    assert error in desk.parked()[0]


@pytest.mark.parametrize(
    ("payload", "stored"), [(b"\x00\xff", b"\x00\xff"), ("é", "é".encode()), ({"a": 1}, b'{"a":1}')]
)
def test_a_bytea_outbox_takes_any_bytes(
    connection: Connection, bind: Bind, database_url: str, payload: Any, stored: bytes
) -> None:
    desk = Desk(connection, bind, database_url, BYTEA)

    desk.settle(lambda event, tx: tx.publish("stock", payload, type="t"), EVENT)

    assert [bytes(row[0]) for row in desk.rows("SELECT payload FROM inbox.outbox")] == [stored]


def test_a_handler_that_changes_the_outbox_is_refused(desk: Desk) -> None:
    desk.settle(reserve, EVENT)
    desk.settle(lambda event, tx: tx.execute("UPDATE inbox.outbox SET topic = 'other'"), OTHER)

    assert desk.rows("SELECT topic FROM inbox.outbox") == [("stock",)]
    assert "insert only" in desk.parked()[0]


def test_publishing_without_an_outbox_stops_and_says_what_to_do(
    connection: Connection, bind: Bind, database_url: str
) -> None:
    desk = Desk(connection, bind, database_url, None)

    with pytest.raises(HaltError, match=r"add \[outbox\] to the configuration, run `inbox migrate`"):
        desk.settle(reserve, EVENT)

    assert desk.rows("SELECT * FROM inbox.processed") == []


def test_publishing_does_not_wait_for_the_server(desk: Desk) -> None:
    went_on: list[UUID] = []

    def publish(event: Event, tx: Transaction) -> None:
        tx.publish("no topic", {}, type="t")  # refused by the server
        went_on.append(event.id)

    desk.settle(publish, EVENT)

    assert went_on == [EVENT]
    assert len(desk.parked()) == 1


@pytest.fixture(name="publisher_role")
def publisher_role_(database_url: str) -> Iterator[str]:
    """A role that may use the schema and nothing in it."""
    name = f"role_{uuid4().hex}"
    role = sql.Identifier(name)
    with psycopg.connect(database_url, autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'sesame'").format(role))
        admin.execute(sql.SQL("GRANT USAGE ON SCHEMA inbox TO {}").format(role))
        yield name
        admin.execute(sql.SQL("DROP OWNED BY {}").format(role))
        admin.execute(sql.SQL("DROP ROLE {}").format(role))


@pytest.mark.usefixtures("desk")
def test_the_rights_that_a_start_asks_for_are_enough_to_publish(
    database_url: str, publisher_role: str, connection: Connection
) -> None:
    url = conninfo.make_conninfo(database_url, user=publisher_role, password="sesame")
    with connect(DatabaseOptions(url=SecretStr(url))) as theirs:
        lacking = [line for line in missing_rights(theirs, "inbox", [], publishes=True) if "outbox" in line]
        for line in lacking:
            connection.execute(line.split("; ")[1].encode())
        insert = Outbox("inbox", JSON, sink="s", route="r").insert
        row = {"event_id": uuid4(), "topic": "stock", "key": None, "type": "t", "payload": "{}"}
        theirs.execute(insert.encode(), row)

        assert len(lacking) == 2
        assert not [line for line in missing_rights(theirs, "inbox", []) if "outbox" in line]
