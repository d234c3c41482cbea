"""An outbox that is a table of the user's, relayed as it is."""

import re

import pytest

from inbox.errors import StartupError
from inbox.store.options import ExternalTableColumns, ExternalTableOptions, OutboxOptions
from inbox.store.outbox.external_table_check import external_shape_of
from inbox.store.postgres.connection import connect
from inbox.telemetry import OUTBOX_PENDING
from tests.integration.relay.conftest import read_all, relaying, values_with_a_late_commit
from tests.support.kafka_topics import create_topic
from tests.support.relay.external_table import ExistingStage, MakeExistingStage, make_existing_stage  # noqa: F401 - a fixture
from tests.support.waiting import eventually

TOTAL = """
CREATE TYPE stage AS ENUM ('NEW', 'SENT', 'FAILED');
CREATE TABLE public."Events out" (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    uid varchar(40) NOT NULL UNIQUE,
    kind text NOT NULL, body bytea, stage stage NOT NULL DEFAULT 'NEW', made timestamp NOT NULL, sent timestamptz,
    target text, customer bigint, trace text
)
"""
TOTAL_COLUMNS = ExternalTableColumns(
    event_id="uid",
    type="kind",
    payload="body",
    status="stage",
    created_at="made",
    topic="target",
    aggregate_id="customer",
    traceparent="trace",
    sent_at="sent",
)


TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
INSERT_TOTAL = """
INSERT INTO public."Events out" (uid, kind, body, made, target, customer, trace, stage)
VALUES (%s, %s, %s, date '2026-01-01' + %s::time, %s, %s, %s, %s)
"""


@pytest.fixture(name="stage")
def stage_(make_existing_stage: MakeExistingStage) -> ExistingStage:  # noqa: F811
    return make_existing_stage()


MODES = pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])


@MODES
def test_its_rows_are_sent_in_order_and_marked_in_place(stage: ExistingStage, transactional: bool) -> None:
    numbers = [str(number) for number in range(300)]
    stage.publish(*numbers)

    with relaying(stage, until_empty=True, transactional=transactional):
        pass

    records = read_all(stage.bootstrap_servers, stage.topic, **{"isolation.level": "read_committed"})
    assert [(record.value() or b"").decode() for record in records] == numbers
    assert stage.rows("SELECT DISTINCT status FROM public.events_out") == [("SENT",)]
    ids = [row[0] for row in stage.rows("SELECT event_id::text FROM public.events_out ORDER BY created_at")]
    assert [record.key() for record in records] == [each.encode() for each in ids]
    assert [dict(record.headers() or []) for record in records] == [
        {"event_id": each.encode(), "type": b"T"} for each in ids
    ]


def test_every_column_may_have_another_name_and_be_of_another_type(stage: ExistingStage) -> None:
    stage.rows(TOTAL)
    other = create_topic(stage.bootstrap_servers, None)
    rows = [
        ("order-1", "Placed", b"\x00\xff", "12:00:01", stage.topic, 7, TRACE, "NEW"),
        ("order-2", "Paid", None, "12:00:00", stage.topic, None, None, "NEW"),
        ("order-3", "Lost", b"", "12:00:01", stage.topic, 7, None, "FAILED"),
        ("order-4", "Placed", b"", "12:00:02", other, 8, None, "NEW"),
    ]
    with stage.connect() as connection:
        for row in rows:
            connection.execute(INSERT_TOTAL, row)
    stage.outbox = OutboxOptions(
        existing=ExternalTableOptions(table="public.Events out", topic=None, columns=TOTAL_COLUMNS)
    )

    with relaying(stage, until_empty=True):
        pass

    assert [(record.key(), record.value(), dict(record.headers() or [])) for record in stage.in_kafka()] == [
        (b"order-2", None, {"event_id": b"order-2", "type": b"Paid"}),
        (b"7", b"\x00\xff", {"event_id": b"order-1", "type": b"Placed", "traceparent": TRACE.encode()}),
    ]
    assert [record.key() for record in stage.in_kafka(other)] == [b"8"]
    marked = stage.rows('SELECT uid, stage::text, sent IS NOT NULL FROM public."Events out" ORDER BY id')
    assert marked == [
        ("order-1", "SENT", True),
        ("order-2", "SENT", True),
        ("order-3", "FAILED", False),
        ("order-4", "SENT", True),
    ]


def test_a_slow_transactions_row_is_sent_after_later_ones_and_not_lost(stage: ExistingStage) -> None:
    assert values_with_a_late_commit(stage) == ['"quick"', '"next"', '"slow"']


@MODES
def test_what_was_sent_and_not_marked_is_sent_again_under_its_ids(stage: ExistingStage, transactional: bool) -> None:
    stage.publish("1", "2", "3")
    end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'inbox relay'"
    end += " AND datname = current_database()"

    unmarkable = stage.unmarkable()
    with relaying(stage, transactional=transactional):
        with unmarkable:
            eventually(lambda: len(stage.in_kafka()) >= 3, what="three records")
            stage.rows(end)
        stage.all_sent()

    records = stage.in_kafka()
    ids = [row[0] for row in stage.rows("SELECT event_id FROM public.events_out ORDER BY created_at")]
    assert len(records) == 6
    assert stage.first_ids() == ids


def test_more_than_a_batch_and_large_payloads_go_in_order(stage: ExistingStage) -> None:
    stage.rows(
        "INSERT INTO public.events_out (event_id, type, payload, created_at) SELECT gen_random_uuid(), 'T', "
        "to_jsonb(n || CASE WHEN n % 1000 = 0 THEN repeat('x', 900000) ELSE '' END), now() + n * interval '1 us' "
        "FROM generate_series(1, 12000) AS n"
    )

    with relaying(stage, until_empty=True):
        pass

    assert [int(value.strip('"x')) for value in stage.values()] == list(range(1, 12001))


def test_an_event_without_a_type_holds_up_what_is_behind_it_and_says_so(stage: ExistingStage) -> None:
    stage.rows("ALTER TABLE public.events_out ALTER type DROP NOT NULL")
    stage.publish("1", "2", "3")
    stage.rows("UPDATE public.events_out SET type = NULL WHERE payload = '2'")

    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert re.search(r"the oldest event .* has no type, and holds up", relay.progress.waiting_for)
        assert stage.unsent() == 2
        stage.rows("UPDATE public.events_out SET type = 'T' WHERE payload = '2'")
        stage.all_sent()

    assert stage.values() == ["1", "2", "3"]


def test_a_trigger_that_keeps_rows_from_being_marked_is_told(stage: ExistingStage) -> None:
    stage.publish("1")
    stage.rows(
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.status := OLD.status; RETURN NULL; END';"
        "CREATE TRIGGER keep BEFORE UPDATE ON public.events_out FOR EACH ROW EXECUTE FUNCTION keep()"
    )

    with relaying(stage) as relay:
        eventually(lambda: relay.progress.waiting_for, what="a relay that waits")
        assert "of 1 events that were sent 0 could be marked" in relay.progress.waiting_for
        stage.rows("DROP TRIGGER keep ON public.events_out")
        stage.all_sent()


def test_what_waits_is_counted(stage: ExistingStage) -> None:
    stage.rows(
        "INSERT INTO public.events_out (event_id, type, payload) SELECT gen_random_uuid(), 'T', '1' "
        "FROM generate_series(1, 500)"
    )

    unmarkable = stage.unmarkable()
    with relaying(stage), unmarkable:
        eventually(lambda: OUTBOX_PENDING._value.get() == 500, what="500 that wait")


def test_migrate_makes_nothing_but_the_leases(stage: ExistingStage) -> None:
    made = "SELECT relname FROM pg_class WHERE relnamespace = 'inbox'::regnamespace AND relkind IN ('r', 'v')"

    names = {row[0] for row in stage.rows(made)}

    assert {name for name in names if "outbox" in name or "relay" in name} == {"relay_leases", "relay_leases_version"}


@pytest.mark.parametrize(
    ("change", "columns", "said"),
    [
        ("DROP TABLE public.events_out", {}, "does not exist; create it, or correct [outbox] table"),
        ("SELECT 1", {"type": "kind"}, 'no column "kind", only event_id, type, payload, status, created_at; say in'),
        ("ALTER TABLE public.events_out ALTER created_at TYPE date", {}, "is date, and as created_at it has to be"),
        ("ALTER TABLE public.events_out ALTER payload TYPE int USING 1", {}, "is integer, and as payload it has to be"),
        ("SELECT 1", {"status": "created_at"}, "cannot hold both NEW and SENT"),
        ("ALTER TABLE public.events_out DROP CONSTRAINT events_out_pkey", {}, "no unique index on event_id"),
        (
            "ALTER TABLE public.events_out RENAME TO t; CREATE VIEW public.events_out AS SELECT * FROM t",
            {},
            "is not a table; name the table itself",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_refused(
    stage: ExistingStage, change: str, columns: dict[str, str], said: str
) -> None:
    stage.rows(change)
    existing = ExternalTableOptions(table="public.events_out", topic="t", columns=ExternalTableColumns(**columns))

    with connect(stage.settings.database) as connection, pytest.raises(StartupError, match=re.escape(said)):
        external_shape_of(connection, existing)


def test_an_index_of_what_waits_is_missed_until_it_is_there(stage: ExistingStage) -> None:
    existing = stage.outbox.existing
    assert existing is not None

    with connect(stage.settings.database) as connection:
        assert external_shape_of(connection, existing).advice() == []
        connection.execute("DROP INDEX public.events_out_created_at_event_id_idx")
        (advice,) = external_shape_of(connection, existing).advice()
        connection.execute(advice.partition("; ")[2].encode())
        assert external_shape_of(connection, existing).advice() == []
