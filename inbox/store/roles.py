"""Roles with the least rights: SQL for a superuser to run, since nobody gives himself rights.

The rights of the sink are those that its start asks for: `inbox.store.rights`.
"""

from collections.abc import Mapping, Sequence

from psycopg import sql

from inbox.store.options import OutboxOptions
from inbox.store.rights import OF_PUBLISHER, OF_RELAY, OF_SINK
from inbox.store.schema import OUTBOX_VERSION_TABLE, VERSION_TABLE

_HEAD = """\
-- Roles for the schema {schema}. Run this as a superuser before the first `inbox migrate`, and again after each one:
-- it grants what is not there yet, and takes nothing away. None of the roles can log in; grant them to who does:
--     CREATE ROLE inventory_migrations LOGIN PASSWORD '...' IN ROLE {owner};
--     ALTER ROLE inventory_migrations SET role = {owner};     -- what it makes belongs to the owner
--     CREATE ROLE inventory LOGIN PASSWORD '...' IN ROLE {sink};
-- The tables of your routes are yours: grant {sink} on them what `inbox check` asks for.
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

_GRANT = """\
DO $$ BEGIN IF to_regclass({quoted}) IS NOT NULL THEN GRANT {rights} ON {table} TO {role}; END IF; END $$;
"""


def roles_sql(schema: str, outbox: OutboxOptions | None) -> str:
    """The script for the roles `<schema>_owner`, `<schema>_sink` and, with an outbox, `<schema>_relay`."""
    owner, sink, relay = (sql.Identifier(f"{schema}_{part}").as_string() for part in ("owner", "sink", "relay"))
    names = [f"{schema}_owner", f"{schema}_sink", *([f"{schema}_relay"] if outbox else [])]
    head = _HEAD.format(
        schema=sql.Identifier(schema).as_string(),
        owner=owner,
        sink=sink,
        names=", ".join(sql.Literal(name).as_string() for name in names),
    )
    versions = {VERSION_TABLE: ("SELECT",), OUTBOX_VERSION_TABLE: ("SELECT",)}
    script = head + _grants(schema, sink, {**versions, **OF_SINK, **({"outbox": OF_PUBLISHER} if outbox else {})})
    return script + _grants(schema, relay, {**versions, **OF_RELAY}) if outbox else script


def _grants(schema: str, role: str, rights: Mapping[str, Sequence[str]]) -> str:
    lines = [f"GRANT USAGE ON SCHEMA {sql.Identifier(schema).as_string()} TO {role};\n"]
    for name, each in rights.items():
        table = sql.Identifier(schema, name).as_string()
        quoted = sql.Literal(table).as_string()
        lines.append(_GRANT.format(quoted=quoted, rights=", ".join(each), table=table, role=role))
    return "".join(lines)
