"""Three ways to the tables that have to give the same: the revisions, their SQL, and the metadata."""

import re
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from psycopg import sql
from pydantic import SecretStr
from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.dialects.postgresql.base import ischema_names
from sqlalchemy.schema import CreateSchema

from inbox.errors import StartupError
from inbox.store.options import (
    DatabaseOptions,
    ExternalTableColumns,
    ExternalTableOptions,
    OutboxOptions,
    OutboxPayload,
)
from inbox.store.schema.compatibility import require_current
from inbox.store.schema.inbox_tables import metadata
from inbox.store.schema.migrate import migrate, migration_sql
from inbox.store.schema.names import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE, VERSION_TABLE
from inbox.store.schema.outbox_tables import TransactionId

SCHEMAS = pytest.mark.parametrize("schema", ["inbox", "my inbox", 'the "50%" of a.b:c'])

EXISTING = OutboxOptions(
    existing=ExternalTableOptions(table="events_out", topic="orders", columns=ExternalTableColumns())
)
OUTBOXES = pytest.mark.parametrize(
    "outbox",
    [None, OutboxOptions(), OutboxOptions(payload=OutboxPayload.BYTEA), EXISTING],
    ids=["no outbox", "json", "bytea", "existing"],
)
VERSION_TABLES = (VERSION_TABLE, OUTBOX_VERSION_TABLE, EXISTING_VERSION_TABLE)

# What PostgreSQL itself holds of a schema, in words in which the schema's own name does not occur.
CATALOG = {
    "relations": """
        SELECT c.relname, c.relkind, c.relpersistence, c.reloptions, obj_description(c.oid, 'pg_class')
        FROM pg_class c WHERE c.relnamespace = %(schema)s""",
    "columns": """
        SELECT c.relname, a.attnum, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
               a.attstorage, a.attcompression, pg_get_expr(d.adbin, d.adrelid)
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
             LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum)
        WHERE c.relnamespace = %(schema)s AND c.relkind IN ('r', 'v') AND a.attnum > 0""",
    "constraints": """
        SELECT c.relname, k.conname, k.contype, k.condeferrable, k.convalidated, pg_get_constraintdef(k.oid)
        FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE k.connamespace = %(schema)s""",
    "indexes": """
        SELECT c.relname, i.indisunique, i.indisvalid, pg_get_indexdef(c.oid)
        FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE c.relnamespace = %(schema)s""",
    "triggers": """
        SELECT c.relname, t.tgname, pg_get_triggerdef(t.oid)
        FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid
        WHERE c.relnamespace = %(schema)s AND NOT t.tgisinternal""",
    "functions": "SELECT proname, prosrc FROM pg_proc WHERE pronamespace = %(schema)s",
}


def catalog(url: str, schema: str) -> dict[str, list[str]]:
    with psycopg.connect(url) as connection:
        # Definitions leave out a schema that is on the search path.
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        oid = connection.execute("SELECT oid FROM pg_namespace WHERE nspname = %s", (schema,)).fetchone()
        assert oid is not None
        found = {what: connection.execute(query, {"schema": oid[0]}) for what, query in CATALOG.items()}
        return {
            what: sorted(repr(row).replace(sql.Identifier(schema).as_string(), "*") for row in rows)
            for what, rows in found.items()
        }


def without_version_tables(found: dict[str, list[str]]) -> dict[str, list[str]]:
    return {
        what: [row for row in rows if not any(table in row for table in VERSION_TABLES)] for what, rows in found.items()
    }


def connected(url: str) -> Connection:
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(url), poolclass=NullPool)
    return engine.connect()


def drop(url: str, schema: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))


@SCHEMAS
@OUTBOXES
def test_the_metadata_makes_what_the_revisions_make(
    empty_database_url: str, schema: str, outbox: OutboxOptions | None
) -> None:
    migrate(DatabaseOptions(url=SecretStr(empty_database_url), schema=schema), outbox=outbox)
    migrated = catalog(empty_database_url, schema)
    drop(empty_database_url, schema)

    with connected(empty_database_url) as connection:
        connection.execute(CreateSchema(schema))
        metadata(schema, outbox).create_all(connection)
        connection.commit()

    assert catalog(empty_database_url, schema) == without_version_tables(migrated)


@pytest.mark.parametrize("schema", ["inbox", "my inbox"])
@OUTBOXES
def test_alembic_finds_nothing_to_generate(
    empty_database_url: str, schema: str, outbox: OutboxOptions | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(ischema_names, "xid8", TransactionId)
    migrate(DatabaseOptions(url=SecretStr(empty_database_url), schema=schema), outbox=outbox)

    with connected(empty_database_url) as connection:
        options = {
            "version_table_schema": schema,
            "include_schemas": True,
            "include_name": lambda name, kind, _: name == schema if kind == "schema" else name not in VERSION_TABLES,
            "compare_server_default": True,
        }
        differences = compare_metadata(MigrationContext.configure(connection, opts=options), metadata(schema, outbox))

    assert differences == []


@SCHEMAS
def test_the_sql_makes_what_migrate_makes(empty_database_url: str, schema: str) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url), schema=schema)
    migrate(options)
    migrated = catalog(empty_database_url, schema)
    drop(empty_database_url, schema)

    run(empty_database_url, migration_sql(options))

    assert catalog(empty_database_url, schema) == migrated
    with psycopg.connect(empty_database_url) as connection:
        require_current(connection, schema)


def test_the_sql_back_to_base_leaves_what_migrate_leaves(empty_database_url: str) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url))
    migrate(options)

    run(empty_database_url, migration_sql(options, to="head:base"))

    assert all(not rows for rows in catalog(empty_database_url, "inbox").values())


def test_migrate_goes_on_from_what_the_sql_made(empty_database_url: str) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url))
    run(empty_database_url, migration_sql(options, to="0001"))

    migrate(options)

    with psycopg.connect(empty_database_url) as connection:
        require_current(connection, "inbox")


def test_the_sql_needs_no_database() -> None:
    nowhere = DatabaseOptions(url=SecretStr("postgresql://inbox:hunter2@nowhere.invalid/inbox"))

    assert "hunter2" not in migration_sql(nowhere)


def test_the_sql_leaves_a_session_as_it_was(empty_database_url: str) -> None:
    options = DatabaseOptions(url=SecretStr(empty_database_url))
    with psycopg.connect(empty_database_url, autocommit=True) as connection:
        # Whoever first uses PL/pgSQL in a session loads the settings that it brings.
        settings = "SELECT name, setting FROM pg_settings WHERE name NOT LIKE 'plpgsql.%' ORDER BY name"
        before = connection.execute(settings).fetchall()
        connection.execute(migration_sql(options).encode())
        assert connection.execute(settings).fetchall() == before


@pytest.mark.parametrize("to", ["base", "0001:0001"])
def test_sql_of_no_step_is_refused_and_says_how_to_name_two(to: str) -> None:
    nowhere = DatabaseOptions(url=SecretStr("postgresql://nowhere.invalid/inbox"))

    with pytest.raises(StartupError, match='name both, as in "0001:base"'):
        migration_sql(nowhere, to=to)


def run(url: str, script: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(script.encode())


def test_a_ledger_update_is_heap_only(empty_database_url: str) -> None:
    migrate(DatabaseOptions(url=SecretStr(empty_database_url)))
    updates = """
        UPDATE inbox.partitions SET next_offset = next_offset + 1, applied = applied + 1, owner_epoch = 1,
            updated_at = clock_timestamp()"""
    counted = "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_xact_user_tables WHERE relname = 'partitions'"
    with psycopg.connect(empty_database_url) as connection:
        connection.execute(
            "INSERT INTO inbox.partitions (cluster_id, topic, partition, start_offset, next_offset, reached_offset) "
            "SELECT 'c', 'orders', n, 0, 0, 0 FROM generate_series(1, 8) AS n"
        )
        connection.commit()
        for _ in range(3):
            connection.execute(updates)
        assert connection.execute(counted).fetchone() == (24, 24)


def test_a_claim_has_no_padding(empty_database_url: str) -> None:
    migrate(DatabaseOptions(url=SecretStr(empty_database_url)))
    with psycopg.connect(empty_database_url) as connection:
        widths = connection.execute(
            "SELECT attlen FROM pg_attribute WHERE attrelid = 'inbox.processed'::regclass AND attnum > 0 "
            "ORDER BY attnum"
        ).fetchall()

    # The last is null but for what a replay claimed again.
    assert [width for (width,) in widths] == [16, 8, 8, 8, 4, 2, 4]


def test_the_reference_names_every_table_and_column() -> None:
    reference = Path(__file__).parents[2] / "docs" / "reference" / "tables.md"
    sections = re.split(r"^## ", reference.read_text(), flags=re.MULTILINE)
    told = {
        heading.strip("`"): re.findall(r"^\| `(\w+)` \|", text, flags=re.MULTILINE)
        for heading, _, text in (section.partition("\n") for section in sections)
    }

    for table in [*metadata("inbox", OutboxOptions()).sorted_tables, *metadata("inbox", EXISTING).sorted_tables]:
        if re.fullmatch(r"processed_\d+", table.name):
            continue  # as `processed`, whose section says so
        assert told.get(table.name) == [column.name for column in table.columns]
