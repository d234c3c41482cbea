"""Write SQL for roles with the least rights, for a superuser to run, since nobody can grant himself rights.

The rights of the sink are those that its start checks: `inbox.store.privileges.sink`.
"""

from psycopg import sql

from inbox.store.inbox.retention import KeptPeriods
from inbox.store.options import ExternalTableOptions, OutboxOptions, RelayKind
from inbox.store.privileges.check import OF_EXISTING_RELAY, OF_PRUNER, OF_PUBLISHER, OF_READER, OF_RELAY, Rights
from inbox.store.privileges.sink import FUNCTIONS_OF_SINK, OF_SINK, merged, whole
from inbox.store.schema.names import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE, VERSION_TABLE
from inbox.store.tables.names import parts_of

_HEAD = """\
-- Roles for the schema {schema}. Run this as a superuser before the first `inbox migrate`, after each one, and when
-- [retention] changes: the owner keeps what it says, so that the sink's login removes nothing that is younger.
-- {sink} and the others have these rights then and no more: what earlier versions granted beyond them is revoked. Let
-- the pods of an earlier version end first. None of the roles can log in; grant them to who does:
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

_VERSIONS: Rights = {table: whole("SELECT") for table in (VERSION_TABLE, OUTBOX_VERSION_TABLE, EXISTING_VERSION_TABLE)}

# One transaction, so that a running sink has its rights all the time.
_GRANT = """\
DO $$ BEGIN IF pg_catalog.to_regclass({quoted}) IS NOT NULL THEN
    {revoke}GRANT {rights} ON {table} TO {role};
END IF; END $$;
"""

_REVOKE = "REVOKE ALL ON {table} FROM {role}; "

_EXECUTE = """\
DO $$ BEGIN IF pg_catalog.to_regprocedure({quoted}) IS NOT NULL THEN
    GRANT EXECUTE ON FUNCTION {function} TO {role};
END IF; END $$;
"""

_KEEP = """\
DO $$ BEGIN IF pg_catalog.to_regclass({quoted}) IS NOT NULL THEN
    INSERT INTO {table} (claims, progress, dead_letters) VALUES ({limits})
    ON CONFLICT (singleton) DO UPDATE
    SET claims = excluded.claims, progress = excluded.progress, dead_letters = excluded.dead_letters, set_at = now();
END IF; END $$;
"""


def roles_sql(
    schema: str, outbox: OutboxOptions | None, *, prunes: bool = True, kept: KeptPeriods | None = None
) -> str:
    """Return the script for the roles `<schema>_owner`, `<schema>_sink` and, where a relay publishes, `<schema>_relay`.

    `prunes`: sent events are removed after a time. `kept`: nothing younger is removed with the
    sink's rights.
    """
    script = _script(schema, outbox) + ("" if kept is None else _keep(schema, kept)) + _TAIL
    if outbox is None or outbox.existing is None:
        return script
    # The schema in which the search path finds the table.
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
    rights: list[Rights] = [OF_SINK, _VERSIONS]
    relays: list[Rights] = [_VERSIONS]
    if outbox is not None and outbox.existing is not None:
        relays.append(OF_EXISTING_RELAY)
    elif outbox is not None:
        rights += [{"outbox": OF_PUBLISHER}, OF_READER, *([] if has_relay else [OF_PRUNER])]
        relays.append(OF_RELAY)
    script = head + _grants(schema, sink, merged(*rights)) + _executes(schema, sink)
    return script + _grants(schema, relay, merged(*relays)) if has_relay else script


def _grants_on_existing(existing: ExternalTableOptions, role: str, *, prunes: bool) -> str:
    written = [each for each in (existing.columns.status, existing.columns.sent_at) if each is not None]
    columns = ", ".join(sql.Identifier(each).as_string() for each in written)
    parts = parts_of(existing.table)
    table = sql.Identifier(*parts).as_string()
    usage = f"GRANT USAGE ON SCHEMA {sql.Identifier(parts[0]).as_string()} TO {role};\n" if parts[1:] else ""
    rights = f"SELECT, UPDATE ({columns})" + (", DELETE" if prunes else "")
    return usage + _GRANT.format(
        quoted=sql.Literal(table).as_string(), revoke="", rights=rights, table=table, role=role
    )


def _grants(schema: str, role: str, rights: Rights) -> str:
    lines = [f"GRANT USAGE ON SCHEMA {sql.Identifier(schema).as_string()} TO {role};\n"]
    for name, each in rights.items():
        table = sql.Identifier(schema, name).as_string()
        quoted, revoke = sql.Literal(table).as_string(), _REVOKE.format(table=table, role=role)
        granted = ", ".join(map(str, each))
        lines.append(_GRANT.format(quoted=quoted, revoke=revoke, rights=granted, table=table, role=role))
    return "".join(lines)


def _executes(schema: str, role: str) -> str:
    functions = [f"{sql.Identifier(schema, name).as_string()}({types})" for name, types in FUNCTIONS_OF_SINK.items()]
    return "".join(
        _EXECUTE.format(quoted=sql.Literal(each).as_string(), function=each, role=role) for each in functions
    )


def _keep(schema: str, kept: KeptPeriods) -> str:
    table = sql.Identifier(schema, "retention").as_string()
    limits = ", ".join(f"interval '{each.total_seconds():.0f} seconds'" for each in kept)
    return _KEEP.format(quoted=sql.Literal(table).as_string(), table=table, limits=limits)
