"""Which events leave the outbox, and when: none that was not sent, whatever the outbox is."""

import json
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from inbox.cli.program import result_of
from inbox.operations.retention.background import pruning, pruning_outbox
from inbox.operations.retention.prune import Pruner, plan_prune
from inbox.settings import RetentionLimits
from inbox.store.inbox import retention
from inbox.store.options import DatabaseOptions, ExternalTableColumns, ExternalTableOptions, OutboxOptions, RelayKind
from inbox.store.outbox.retention import outbox_retention
from inbox.store.postgres.connection import Connection
from inbox.store.schema.migrate import migrate
from inbox.store.store import Store
from tests.integration.store.conftest import Connect
from tests.support.waiting import eventually

OWN = OutboxOptions()
DEBEZIUM = OutboxOptions(relay=RelayKind.DEBEZIUM)
EXISTING = OutboxOptions(
    existing=ExternalTableOptions(table="public.events_out", topic="t", columns=ExternalTableColumns(sent_at="sent_at"))
)
LIMITS = RetentionLimits()
A_SECOND = RetentionLimits(outbox=timedelta(seconds=1))
EIGHT_DAYS, SIX_DAYS = timedelta(days=8), timedelta(days=6)

PUBLISH = """
INSERT INTO inbox.outbox (event_id, topic, type, payload, created_at)
VALUES (lpad(%s::text, 32, '0')::uuid, 'orders', 'T', '1', now() - %s)
"""
SENT = """
INSERT INTO inbox.outbox_sent (event_id, topic, partition, kafka_offset, sent_at)
VALUES (lpad(%s::text, 32, '0')::uuid, 'orders', 0, 0, now() - %s)
"""
TABLE = """
CREATE TABLE public.events_out (event_id bigint PRIMARY KEY, type text DEFAULT 'T', payload json DEFAULT '1',
    status text NOT NULL, created_at timestamptz NOT NULL, sent_at timestamptz)
"""
PUT = """
INSERT INTO public.events_out (event_id, status, created_at, sent_at)
VALUES (%s, %s, now() - %s, now() - %s::interval)
"""


@pytest.fixture(name="own")
def own_(connection: Connection, database_options: DatabaseOptions) -> Connection:
    """An outbox with four old events: 1 sent long ago, 2 sent lately, 3 not sent, 4 sent long ago."""
    migrate(database_options, outbox=OWN)
    for number in (1, 2, 3, 4):
        connection.execute(PUBLISH, (number, EIGHT_DAYS))
    for number, ago in ((1, EIGHT_DAYS), (2, SIX_DAYS), (4, EIGHT_DAYS)):
        connection.execute(SENT, (number, ago))
    return connection


@pytest.fixture(name="existing")
def existing_(connection: Connection, database_options: DatabaseOptions) -> Connection:
    """The same four in a table of the user's, and 5, which was given up long ago."""
    migrate(database_options, outbox=EXISTING)
    connection.execute(TABLE)
    rows = ((1, "SENT", EIGHT_DAYS), (2, "SENT", SIX_DAYS), (3, "NEW", None), (4, "SENT", EIGHT_DAYS))
    for number, status, ago in (*rows, (5, "FAILED", None)):
        connection.execute(PUT, (number, status, EIGHT_DAYS, ago))
    return connection


def left(connection: Connection, table: str = "inbox.outbox") -> list[int]:
    query = f"SELECT ltrim(replace(event_id::text, '-', ''), '0')::int FROM {table} ORDER BY 1"  # noqa: S608
    return [row[0] for row in connection.execute(query.encode())]


def forget(connection: Connection, outbox: OutboxOptions, limits: RetentionLimits = LIMITS) -> int:
    return Pruner(Store(connection, "inbox"), limits, outbox=outbox).round().outbox


def test_what_was_sent_long_ago_goes_with_its_mark(own: Connection) -> None:
    assert forget(own, OWN) == 2
    assert left(own) == [2, 3]
    assert left(own, "inbox.outbox_sent") == [2]


def test_what_was_not_sent_stays_however_old(own: Connection) -> None:
    own.execute("UPDATE inbox.outbox_sent SET sent_at = now() - interval '100 days'")

    assert forget(own, OWN) == 3
    assert left(own) == [3]


def test_where_debezium_publishes_age_alone_counts(own: Connection) -> None:
    own.execute(PUBLISH, (5, SIX_DAYS))

    assert forget(own, DEBEZIUM) == 4
    assert left(own) == [5]
    assert left(own, "inbox.outbox_sent") == []


def test_of_a_table_of_the_users_goes_what_is_sent_for_long(existing: Connection) -> None:
    assert forget(existing, EXISTING) == 2
    assert left(existing, "public.events_out") == [2, 3, 5]


def test_of_a_table_of_the_users_nothing_goes_unasked(existing: Connection) -> None:
    assert forget(existing, EXISTING, RetentionLimits(outbox=None)) == 0
    assert left(existing, "public.events_out") == [1, 2, 3, 4, 5]


def test_an_event_that_waits_again_meanwhile_stays(existing: Connection, open_connection: Connect) -> None:
    """An operator sends it once more, just then."""
    operator = open_connection()
    operator.execute("BEGIN")
    operator.execute("UPDATE public.events_out SET status = 'NEW' WHERE event_id = 1")
    gone: list[int] = []
    thread = threading.Thread(target=lambda: gone.append(forget(existing, EXISTING)))
    thread.start()
    waits = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database()"
    waits += " AND NOT granted AND locktype = 'transactionid'"
    eventually(lambda: operator.execute(waits).fetchone() == (1,), what="a pruner that waits")
    operator.execute("COMMIT")
    thread.join()

    assert gone == [1]
    assert left(operator, "public.events_out") == [1, 2, 3, 5]


@pytest.mark.parametrize(("fixture", "outbox"), [("own", OWN), ("own", DEBEZIUM), ("existing", EXISTING)])
def test_it_goes_in_portions(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, fixture: str, outbox: OutboxOptions
) -> None:
    connection: Connection = request.getfixturevalue(fixture)
    monkeypatch.setattr(retention, "ROWS_OF_TRANSACTION", 1)
    monkeypatch.setattr("inbox.store.outbox.retention.ROWS_OF_TRANSACTION", 1)

    assert outbox_retention(connection, "inbox", outbox).forget(timedelta(days=7)) == 1
    assert forget(connection, outbox) == (3 if outbox is DEBEZIUM else 1)


@pytest.mark.parametrize(("fixture", "outbox"), [("own", OWN), ("own", DEBEZIUM), ("existing", EXISTING)])
def test_a_relay_prunes_its_outbox_in_the_background(
    request: pytest.FixtureRequest, database_options: DatabaseOptions, fixture: str, outbox: OutboxOptions
) -> None:
    connection: Connection = request.getfixturevalue(fixture)
    table = "inbox.outbox" if fixture == "own" else "public.events_out"
    expected = {OWN: [3], DEBEZIUM: [], EXISTING: [3, 5]}[outbox]

    with pruning_outbox(database_options, A_SECOND, outbox):
        eventually(lambda: left(connection, table) == expected, what="an outbox that was pruned")


def test_a_sink_prunes_the_outbox_in_the_background(own: Connection, database_options: DatabaseOptions) -> None:
    with pruning(database_options, A_SECOND, OWN):
        eventually(lambda: left(own) == [3], what="an outbox that was pruned")


def test_a_plan_tells_what_would_go_and_changes_nothing(own: Connection, database_options: DatabaseOptions) -> None:
    plan = plan_prune(database_options, LIMITS, OWN)

    assert (plan.outbox.rows, plan_prune(database_options, LIMITS).outbox.rows) == (2, 0)
    assert plan.outbox.oldest is not None
    assert left(own) == [1, 2, 3, 4]


def test_the_command_shows_it_and_does_it(
    own: Connection, database_options: DatabaseOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "inbox.toml"
    config.write_text(f'[database]\nurl = "{database_options.url.get_secret_value()}"\n[outbox]\n')

    def prune(*options: str) -> dict[str, Any]:
        assert result_of(["prune", "--json", "--config", str(config), *options]) == 0
        return dict(json.loads(capsys.readouterr().out))

    assert (prune()["outbox"]["rows"], left(own)) == (2, [1, 2, 3, 4])
    assert (prune("--execute")["removed"]["outbox"], left(own)) == (2, [2, 3])
