"""The outbox: tables that are there only where the configuration asks for them."""

import uuid

import psycopg
import pytest
from psycopg import sql
from pydantic import SecretStr

from inbox.errors import StartupError
from inbox.store.options import (
    DatabaseOptions,
    ExternalTableColumns,
    ExternalTableOptions,
    OutboxOptions,
    OutboxPayload,
)
from inbox.store.schema.compatibility import current_revision, require_current
from inbox.store.schema.migrate import migrate, migration_sql, pending
from inbox.store.schema.migration_plan import MigrationPath
from inbox.store.schema.revisions import OUTBOX, RevisionStep

JSON = OutboxOptions(payload=OutboxPayload.JSON)
BYTEA = OutboxOptions(payload=OutboxPayload.BYTEA)
EXISTING = OutboxOptions(
    existing=ExternalTableOptions(table="events_out", topic="orders", columns=ExternalTableColumns())
)
UP = MigrationPath(OUTBOX, None, OUTBOX.head()).steps()
DOWN = MigrationPath(OUTBOX, OUTBOX.head(), None).steps()
KINDS = pytest.mark.parametrize("outbox", [JSON, BYTEA], ids=["json", "bytea"])

FILL = "INSERT INTO inbox.outbox (event_id, topic, type, payload) VALUES (%s, 'orders', 'OrderCreated', %s)"


@pytest.fixture(name="options")
def options_(empty_database_url: str) -> DatabaseOptions:
    return DatabaseOptions(url=SecretStr(empty_database_url))


def tables_of(options: DatabaseOptions) -> set[str]:
    with psycopg.connect(options.url.get_secret_value()) as connection:
        rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", (options.schema,))
        return {name for (name,) in rows}


def functions_of(options: DatabaseOptions) -> set[str]:
    with psycopg.connect(options.url.get_secret_value()) as connection:
        rows = connection.execute(
            "SELECT proname FROM pg_proc JOIN pg_namespace n ON n.oid = pronamespace WHERE nspname = %s",
            (options.schema,),
        )
        return {name for (name,) in rows}


def execute(options: DatabaseOptions, statement: str, parameters: tuple[object, ...] = ()) -> None:
    with psycopg.connect(options.url.get_secret_value()) as connection:
        connection.execute(statement.encode(), parameters)


def fill(options: DatabaseOptions) -> None:
    execute(options, FILL, (uuid.uuid4(), "{}"))


def check(options: DatabaseOptions, outbox: OutboxOptions | None) -> None:
    with psycopg.connect(options.url.get_secret_value()) as connection:
        require_current(connection, options.schema, outbox)


def test_without_the_section_there_is_no_table(options: DatabaseOptions) -> None:
    migrate(options)

    assert not {name for name in tables_of(options) if name.startswith("outbox")}
    check(options, None)


@KINDS
def test_migrate_makes_the_outbox_after_the_inbox(options: DatabaseOptions, outbox: OutboxOptions) -> None:
    steps = migrate(options, outbox=outbox)

    assert steps[-len(UP) :] == UP
    assert {"outbox", "outbox_version", "processed"} <= tables_of(options)
    check(options, outbox)
    assert migrate(options, outbox=outbox) == []


def test_an_outbox_configured_later_is_added(options: DatabaseOptions) -> None:
    migrate(options)

    assert migrate(options, outbox=JSON) == UP


def test_an_outbox_no_longer_configured_keeps_its_events(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)

    assert migrate(options) == []
    assert "outbox" in tables_of(options)


@KINDS
def test_it_goes_up_down_and_up_over_rows(options: DatabaseOptions, outbox: OutboxOptions) -> None:
    migrate(options)
    without_outbox = functions_of(options)
    up = migrate(options, outbox=outbox)
    fill(options)

    assert migrate(options, to="outbox@base", outbox=outbox) == DOWN
    assert functions_of(options) == without_outbox
    assert "processed" in tables_of(options)

    assert migrate(options, outbox=outbox) == up[-len(UP) :]
    fill(options)


def test_an_event_without_a_key_gets_its_id_as_its_key(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)
    fill(options)
    execute(
        options,
        "INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload) VALUES (%s, 'orders', '', 'T', '1')",
        (uuid.uuid4(),),
    )

    with psycopg.connect(options.url.get_secret_value()) as connection:
        rows = connection.execute("SELECT event_id::text, aggregate_id FROM inbox.outbox ORDER BY position").fetchall()
    assert [key for _, key in rows] == [rows[0][0], ""]


def test_base_drops_the_outbox_even_if_it_is_not_configured(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)

    steps = migrate(options, to="base")

    assert steps[: len(DOWN)] == DOWN
    assert tables_of(options) == set()
    assert functions_of(options) == set()


def test_a_revision_of_the_inbox_leaves_the_outbox_alone(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)

    migrate(options, to="0001", outbox=JSON)

    with psycopg.connect(options.url.get_secret_value()) as connection:
        assert current_revision(connection, "inbox", OUTBOX) == OUTBOX.head()


@pytest.mark.parametrize(("to", "steps"), [("outbox_0001", [RevisionStep(None, "outbox_0001")]), ("outbox@head", UP)])
def test_the_outbox_can_be_brought_alone_to_a_revision(
    options: DatabaseOptions, to: str, steps: list[RevisionStep]
) -> None:
    assert migrate(options, to=to, outbox=JSON) == steps
    assert "processed" not in tables_of(options)


def test_a_revision_of_an_outbox_that_is_not_configured_is_refused(options: DatabaseOptions) -> None:
    with pytest.raises(StartupError, match=r"there is no \[outbox\]; add it"):
        migrate(options, to="outbox_0002")


def test_pending_tells_the_steps_of_both(options: DatabaseOptions) -> None:
    with psycopg.connect(options.url.get_secret_value()) as connection:
        ahead = pending(connection, "inbox", outbox=JSON)
        assert migrate(options, outbox=JSON) == ahead
        assert pending(connection, "inbox", outbox=JSON) == []
        assert pending(connection, "inbox", to="base")[: len(DOWN)] == DOWN


@pytest.mark.parametrize("schema", ["my inbox", 'the "50%" of a.b:c'])
def test_each_schema_has_an_outbox_of_its_own(empty_database_url: str, schema: str) -> None:
    one, other = (DatabaseOptions(url=SecretStr(empty_database_url), schema=name) for name in (schema, "other"))
    migrate(one, outbox=JSON)
    migrate(other, outbox=BYTEA)

    migrate(other, to="base")

    check(one, JSON)
    assert "outbox_refuse_update" in functions_of(one)


@pytest.mark.parametrize("schema", ["inbox", 'the "50%" of a.b:c'])
@KINDS
def test_the_sql_makes_and_drops_what_migrate_does(empty_database_url: str, schema: str, outbox: OutboxOptions) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url), schema=schema)

    run_script(options, migration_sql(options, outbox=outbox))
    check(options, outbox)
    assert migrate(options, outbox=outbox) == []

    run_script(options, migration_sql(options, to="head:base", outbox=outbox))
    assert tables_of(options) == set()
    assert functions_of(options) == set()


def test_the_sql_of_the_outbox_alone_can_be_printed(options: DatabaseOptions) -> None:
    migrate(options)

    run_script(options, migration_sql(options, to="outbox@head", outbox=JSON))

    check(options, JSON)


def test_the_sql_without_the_section_speaks_of_no_outbox(options: DatabaseOptions) -> None:
    assert "outbox" not in migration_sql(options)


def run_script(options: DatabaseOptions, script: str) -> None:
    with psycopg.connect(options.url.get_secret_value(), autocommit=True) as connection:
        connection.execute(script.encode())


def test_a_start_without_the_table_says_to_migrate(options: DatabaseOptions) -> None:
    migrate(options)

    with pytest.raises(StartupError, match=r'\[outbox\] is configured and .*"inbox" holds no outbox; run `inbox mig'):
        check(options, JSON)


def test_the_other_payload_type_is_refused_by_a_start_and_by_migrate(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)
    text = r'payload of the outbox .* is json, \[outbox\] payload is "bytea"; .*`inbox migrate --to outbox@base`'

    with pytest.raises(StartupError, match=text):
        check(options, BYTEA)
    with pytest.raises(StartupError, match=text):
        migrate(options, outbox=BYTEA)


def test_the_remedy_for_the_other_payload_type_works(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)

    migrate(options, to="outbox@base", outbox=BYTEA)
    migrate(options, outbox=BYTEA)

    check(options, BYTEA)


def test_an_outbox_of_a_newer_version_is_refused(options: DatabaseOptions) -> None:
    migrate(options, outbox=JSON)
    execute(options, "UPDATE inbox.outbox_version SET version_num = 'outbox_9999'")

    for action in (lambda: check(options, JSON), lambda: migrate(options, outbox=JSON)):
        with pytest.raises(StartupError, match=r"at revision outbox_9999, .*; upgrade kafka-inbox"):
            action()


def test_an_outbox_table_of_somebody_else_is_not_taken(options: DatabaseOptions) -> None:
    migrate(options)
    execute(options, "CREATE TABLE inbox.outbox ()")

    with pytest.raises(StartupError, match=r"relation \.\.\. already exists \(42P07\)"):
        migrate(options, outbox=JSON)


@KINDS
def test_an_update_is_refused_and_a_delete_is_not(options: DatabaseOptions, outbox: OutboxOptions) -> None:
    migrate(options, outbox=outbox)
    fill(options)

    with pytest.raises(psycopg.errors.RaiseException, match="the outbox is insert only"):
        execute(options, "UPDATE inbox.outbox SET event_id = gen_random_uuid()")
    execute(options, "DELETE FROM inbox.outbox")


@pytest.mark.parametrize("topic", ["", "ordérs", "a b", "x" * 250])
def test_a_topic_that_kafka_does_not_take_is_refused(options: DatabaseOptions, topic: str) -> None:
    migrate(options, outbox=JSON)
    insert = sql.SQL(FILL.replace("'orders'", "{}")).format(topic).as_string()

    with pytest.raises(psycopg.errors.CheckViolation, match="outbox_topic_check"):
        execute(options, insert, (uuid.uuid4(), "{}"))


def test_beside_a_table_of_the_users_there_are_leases_and_no_outbox(options: DatabaseOptions) -> None:
    steps = migrate(options, outbox=EXISTING)

    assert steps[-1] == RevisionStep(None, "existing_0001")
    made = {name for name in tables_of(options) if "outbox" in name or "relay" in name}
    assert made == {"relay_leases", "relay_leases_version"}
    check(options, EXISTING)
    with pytest.raises(StartupError, match="holds no outbox; run `inbox migrate`"):
        check(options, JSON)


def test_an_outbox_can_follow_a_table_of_the_users_and_base_drops_both(options: DatabaseOptions) -> None:
    migrate(options, outbox=EXISTING)

    assert migrate(options, outbox=JSON) == UP
    assert {"relay_leases", "outbox"} <= tables_of(options)
    migrate(options, to="base")
    assert tables_of(options) == set()


def test_a_revision_of_the_other_kind_is_refused(options: DatabaseOptions) -> None:
    with pytest.raises(StartupError, match="is of the other kind of outbox"):
        migrate(options, to="outbox_0002", outbox=EXISTING)
