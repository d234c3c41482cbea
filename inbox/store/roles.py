"""Roles with the least rights: SQL for a superuser to run, since nobody gives himself rights.

The rights of the sink are those that its start asks for: `inbox.store.rights`.
"""

from collections.abc import Mapping, Sequence

from psycopg import sql

from inbox.store.options import ExistingOutbox, OutboxOptions, RelayKind
from inbox.store.relations import parts_of
from inbox.store.rights import OF_EXISTING_RELAY, OF_PRUNER, OF_PUBLISHER, OF_READER, OF_RELAY, OF_SINK
from inbox.store.table_names import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE, VERSION_TABLE

_HEAD = """\
-- Roles for the schema {schema}. Run this as a superuser before the first `inbox migrate`, and again after each one:
-- it grants what is not there yet, and takes nothing away. None of the roles can log in; grant them to who does:
--     CREATE ROLE inventory_migrations LOGIN PASSWORD '...' IN ROLE {owner};
--     ALTER ROLE inventory_migrations SET role = {owner};     -- what it makes belongs to the owner
--     CREATE ROLE inventory LOGIN PASSWORD '...' IN ROLE {sink};
-- The tables of your routes are yours: grant {sink} on them what `inbox check` asks for.
-- Nobody else's functions, operators and types are found, whatever the search path of who runs this.
SET search_path = pg_catalog, pg_temp;
DO $$
DECLARE name text;
BEGIN
    FOREACH name IN ARRAY ARRAY[{names}] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) THEN
            EXECUTE format('CREATE ROLE %I NOLOGIN', name);
        END IF;
    END LOOP;
END $$;
CREATE SCHEMA IF NOT EXISTS {schema} AUTHORIZATION {owner};
"""

_TAIL = "RESET search_path;\n"

_VERSIONS = dict.fromkeys((VERSION_TABLE, OUTBOX_VERSION_TABLE, EXISTING_VERSION_TABLE), ("SELECT",))

_GRANT = """\
DO $$ BEGIN IF pg_catalog.to_regclass({quoted}) IS NOT NULL THEN GRANT {rights} ON {table} TO {role}; END IF; END $$;
"""


def roles_sql(schema: str, outbox: OutboxOptions | None, *, prunes: bool = True) -> str:
    """The script for the roles `<schema>_owner`, `<schema>_sink` and, where a relay publishes, `<schema>_relay`.

    `prunes`: what was sent is removed after a time.
    """
    script = _script(schema, outbox) + _TAIL
    if outbox is None or outbox.existing is None:
        return script
    # Where the search path finds it.
    return script + _grants_on_existing(outbox.existing, sql.Identifier(f"{schema}_relay").as_string(), prunes=prunes)


def _script(schema: str, outbox: OutboxOptions | None) -> str:
    owner, sink, relay = (sql.Identifier(f"{schema}_{part}").as_string() for part in ("owner", "sink", "relay"))
    has_relay = outbox is not None and outbox.relay is RelayKind.INBOX
    names = [f"{schema}_owner", f"{schema}_sink", *([f"{schema}_relay"] if has_relay else [])]
    head = _HEAD.format(
        schema=sql.Identifier(schema).as_string(),
        owner=owner,
        sink=sink,
        names=", ".join(sql.Literal(name).as_string() for name in names),
    )
    script = head + _grants(schema, sink, {**OF_SINK, **_VERSIONS})
    if outbox is None:
        return script
    if outbox.existing is not None:
        return script + _grants(schema, relay, {**_VERSIONS, **OF_EXISTING_RELAY})
    script += _grants(schema, sink, {"outbox": OF_PUBLISHER, **OF_READER})
    if outbox.relay is RelayKind.DEBEZIUM:
        return script + _grants(schema, sink, OF_PRUNER)
    return script + _grants(schema, relay, {**_VERSIONS, **OF_RELAY})


def _grants_on_existing(existing: ExistingOutbox, role: str, *, prunes: bool) -> str:
    written = [each for each in (existing.columns.status, existing.columns.sent_at) if each is not None]
    columns = ", ".join(sql.Identifier(each).as_string() for each in written)
    parts = parts_of(existing.table)
    table = sql.Identifier(*parts).as_string()
    usage = f"GRANT USAGE ON SCHEMA {sql.Identifier(parts[0]).as_string()} TO {role};\n" if parts[1:] else ""
    rights = f"SELECT, UPDATE ({columns})" + (", DELETE" if prunes else "")
    return usage + _GRANT.format(quoted=sql.Literal(table).as_string(), rights=rights, table=table, role=role)


def _grants(schema: str, role: str, rights: Mapping[str, Sequence[str]]) -> str:
    lines = [f"GRANT USAGE ON SCHEMA {sql.Identifier(schema).as_string()} TO {role};\n"]
    for name, each in rights.items():
        table = sql.Identifier(schema, name).as_string()
        quoted = sql.Literal(table).as_string()
        lines.append(_GRANT.format(quoted=quoted, rights=", ".join(each), table=table, role=role))
    return "".join(lines)
