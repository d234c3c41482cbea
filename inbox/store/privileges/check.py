"""Check the rights of the sink's role before they are needed."""

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.options import TableTarget
from inbox.store.postgres.connection import Connection
from inbox.store.privileges.sink import FUNCTIONS_OF_SINK, OF_SINK, Right, merged, whole
from inbox.store.schema.names import EXISTING_VERSION_TABLE, OUTBOX_VERSION_TABLE
from inbox.store.tables.privileges import lacking_of_target, lacking_usage

Rights = Mapping[str, tuple[Right, ...]]
"""The rights by table."""

# ON CONFLICT reads what it compares.
OF_PUBLISHER = whole("SELECT", "INSERT")

# The tables that a status reads about the outbox; a notice says if this right is missing.
OF_READER: Rights = {"outbox_sent": whole("SELECT"), "outbox_relay": whole("SELECT")}

# Where Debezium publishes, only the sink can prune.
OF_PRUNER: Rights = {"outbox": whole("SELECT", "DELETE"), "outbox_sent": whole("SELECT", "DELETE")}

OF_RELAY: Rights = {
    OUTBOX_VERSION_TABLE: whole("SELECT"),
    "outbox": whole("SELECT", "DELETE"),
    "outbox_sent": whole("SELECT", "INSERT", "DELETE"),
    "outbox_relay": whole("SELECT", "INSERT", "UPDATE"),
}

OF_EXISTING_RELAY: Rights = {
    EXISTING_VERSION_TABLE: whole("SELECT"),
    "relay_leases": whole("SELECT", "INSERT", "UPDATE"),
}

# Reads the catalog: to_regclass fails for a role that may not use the schema, and would hide all the other
# rights. A right on the whole table is a right on each column. A start asks for all in one statement.
_MAY: LiteralString = """
SELECT wanted.number, bool_and(CASE WHEN wanted.on_column IS NULL THEN has_table_privilege(c.oid, wanted.name)
    ELSE has_column_privilege(c.oid, wanted.on_column, wanted.name) END)
FROM unnest(%(numbers)s::integer[], %(tables)s::text[], %(rights)s::text[], %(columns)s::text[])
    AS wanted (number, on_table, name, on_column)
JOIN pg_class c ON relname = wanted.on_table JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = %(schema)s GROUP BY wanted.number
"""

# Finds rights that a role does not need in order to run the sink.
_EXCESS: LiteralString = """
SELECT CASE WHEN pg_has_role(n.nspowner, 'USAGE') THEN 'it owns the schema' ELSE (
    SELECT string_agg(privilege || ' on ' || quote_ident(c.relname), ', ' ORDER BY c.relname, privilege)
    FROM pg_class c CROSS JOIN unnest(ARRAY['DELETE', 'TRUNCATE', 'TRIGGER']) AS privilege
    WHERE c.relnamespace = n.oid AND c.relname = ANY (ARRAY['dead_letters', 'partitions', 'processed', 'progress'])
        AND has_table_privilege(c.oid, privilege)) END
FROM pg_namespace n WHERE nspname = %s
"""

_MAY_CALL: LiteralString = """
SELECT proname, bool_and(has_function_privilege(p.oid, 'EXECUTE'))
FROM pg_proc p JOIN pg_namespace n ON n.oid = pronamespace
WHERE nspname = %s AND proname = ANY (%s::text[]) GROUP BY proname
"""


def missing_rights(
    connection: Connection,
    schema: str,
    targets: Sequence[TableTarget],
    *,
    version: str | None = None,
    publishes: bool = False,
    prunes_outbox: bool = False,
) -> list[str]:
    """Return one line for each right that the sink lacks, with the GRANT that gives it.

    `version` is the table with the revision of the outbox that `[outbox]` names.
    """
    wanted = merged(
        OF_SINK,
        {version: whole("SELECT")} if version is not None else {},
        {"outbox": OF_PUBLISHER} if publishes else {},
        OF_PRUNER if prunes_outbox else {},
    )
    role = role_of(connection)
    of_targets = (line for target in targets for line in lacking_of_target(connection, target, role))
    return list(
        dict.fromkeys(
            [*_lacking(connection, "sink", schema, wanted), *_uncallable(connection, schema, role), *of_targets]
        )
    )


def missing_relay_rights(connection: Connection, schema: str) -> list[str]:
    """Return one line for each right that a relay lacks, with the GRANT that gives it."""
    return _lacking(connection, "relay", schema, OF_RELAY)


def missing_lease_rights(connection: Connection, schema: str) -> list[str]:
    """Return lines as `missing_relay_rights`, in the inbox's schema, where the outbox is a table of the user's."""
    return _lacking(connection, "relay", schema, OF_EXISTING_RELAY)


def excess_rights(connection: Connection, schema: str) -> str | None:
    """Return the rights by which the role may remove what was recorded; None where it has no such right."""
    row = connection.execute(_EXCESS, (schema,)).fetchone()
    return None if row is None else row[0]


def role_of(connection: Connection) -> str:
    """Return the role whose rights count, as a GRANT names it: not always the one that logged in."""
    row = connection.execute("SELECT quote_ident(current_user)").fetchone()
    return str(row[0]) if row else connection.info.user


def hidden_owners_remedy(connection: Connection, roles: Sequence[str]) -> str:
    """Return the sentence about other roles of this sink's workers, with the GRANTs of which one suffices."""
    me, others = role_of(connection), ", ".join(roles)
    return (
        f"workers of this sink are connected as {others}, whose sessions {me} can neither see nor end: the locks of "
        "one that is stopped hold up the next owner of its partitions. "
        f"GRANT pg_read_all_stats, pg_signal_backend TO {me}, or GRANT {others} TO {me}"
    )


def _lacking(connection: Connection, who: str, schema: str, wanted: Rights) -> list[str]:
    role = role_of(connection)
    usage = lacking_usage(connection, schema, role, who)
    found = _held(connection, schema, wanted)
    lines = [] if usage is None else [usage]
    if any(may is not None for may in found.values()):  # otherwise nobody has migrated yet, which another check reports
        absent = dict.fromkeys(table for (table, _), may in found.items() if may is None)
        lines += [f"the table {_name(schema, table)} is gone; restore it from a backup" for table in absent]
    for (table, right), may in found.items():
        if may is False:
            name = _name(schema, table)
            lines.append(f"the {who}'s role lacks {right} on {name}; GRANT {right} ON {name} TO {role}")
    return lines


def _uncallable(connection: Connection, schema: str, role: str) -> Iterator[str]:
    """Yield a line for each of the owner's functions that the sink may not call."""
    callable_ = dict(connection.execute(_MAY_CALL, (schema, list(FUNCTIONS_OF_SINK))).fetchall())
    for name, types in FUNCTIONS_OF_SINK.items():
        if not callable_.get(name, True):
            function = f"{_name(schema, name)}({types})"
            yield f"the sink's role lacks EXECUTE on {function}; GRANT EXECUTE ON FUNCTION {function} TO {role}"


def _name(schema: str, table: str) -> str:
    return sql.Identifier(schema, table).as_string()


def _held(connection: Connection, schema: str, wanted: Rights) -> dict[tuple[str, Right], bool | None]:
    """Return for each right on a table whether the role has it; None where the table does not exist."""
    asked = [(table, right) for table in wanted for right in wanted[table]]
    parts = [(number, column) for number, (_, right) in enumerate(asked) for column in right.columns or (None,)]
    parameters = {
        "schema": schema,
        "numbers": [number for number, _ in parts],
        "tables": [asked[number][0] for number, _ in parts],
        "rights": [asked[number][1].name for number, _ in parts],
        "columns": [column for _, column in parts],
    }
    found = dict(connection.execute(_MAY, parameters).fetchall())
    return {each: found[number] is not False if number in found else None for number, each in enumerate(asked)}
