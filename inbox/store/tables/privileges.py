"""The rights that a table route needs on the user's own table, column by column.

Source: the PostgreSQL manual on INSERT ("On Conflict"), SELECT ("The Locking Clause"), DELETE, and
"Row Security Policies". Foreign keys and identity columns need no rights: the server checks and
fills these as the table's owner.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import LiteralString

from psycopg import sql

from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection
from inbox.store.tables.columns import columns_of
from inbox.store.tables.lookup import located_parts
from inbox.store.tables.members.by_name import resolved
from inbox.store.tables.names import resolvable

_OF_SCHEMA: LiteralString = "SELECT has_schema_privilege(oid, 'USAGE') FROM pg_namespace WHERE nspname = %s"

_RELATION: LiteralString = """
SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace
WHERE nspname = %(schema)s AND relname = %(table)s
"""

_LACKING_COLUMNS: LiteralString = """
SELECT a.attname FROM pg_attribute a
WHERE a.attrelid = %(table)s AND a.attname = ANY (%(columns)s) AND a.attnum > 0 AND NOT a.attisdropped
    AND NOT has_column_privilege(a.attrelid, a.attnum, %(right)s)
ORDER BY a.attnum
"""

# A default fills a column that the route leaves out; the sequence of an identity column needs no right.
_LACKING_SEQUENCES: LiteralString = """
SELECT DISTINCT s.oid::regclass::text FROM pg_attrdef f
JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid AND d.refclassid = 'pg_class'::regclass
JOIN pg_class s ON s.oid = d.refobjid
WHERE f.adrelid = %(table)s AND a.attname <> ALL (%(columns)s)
    AND CASE s.relkind WHEN 'S' THEN NOT has_sequence_privilege(s.oid, 'USAGE, UPDATE') END
ORDER BY 1
"""

# The role that writes a row runs what the defaults, computed columns, constraints, indexes and policies
# call.
_LACKING_FUNCTIONS: LiteralString = """
SELECT DISTINCT p.oid::regprocedure::text FROM pg_depend d JOIN pg_proc p ON p.oid = d.refobjid
WHERE d.refclassid = 'pg_proc'::regclass AND NOT has_function_privilege(p.oid, 'EXECUTE') AND (
    d.classid = 'pg_attrdef'::regclass AND d.objid IN (
        SELECT f.oid FROM pg_attrdef f JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
        WHERE f.adrelid = %(table)s AND (a.attgenerated <> '' OR a.attname <> ALL (%(columns)s)))
    OR d.classid = 'pg_constraint'::regclass AND d.objid IN (
        SELECT oid FROM pg_constraint WHERE contype = 'c' AND (conrelid = %(table)s OR contypid IN (
            SELECT atttypid FROM pg_attribute WHERE attrelid = %(table)s AND attnum > 0 AND NOT attisdropped)))
    OR d.classid = 'pg_class'::regclass AND d.objid IN (SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s)
    OR d.classid = 'pg_policy'::regclass AND d.objid IN (SELECT oid FROM pg_policy WHERE polrelid = %(table)s))
ORDER BY 1
"""

_REFUSED_BY_POLICIES: LiteralString = """
SELECT wanted.command FROM unnest(%(commands)s::text[]) AS wanted (command)
WHERE row_security_active(%(table)s::oid) AND NOT EXISTS (
    SELECT FROM pg_policy WHERE polrelid = %(table)s AND polpermissive
        AND polcmd IN ('*', CASE wanted.command
            WHEN 'SELECT' THEN 'r' WHEN 'INSERT' THEN 'a' WHEN 'UPDATE' THEN 'w' ELSE 'd' END)
        AND EXISTS (SELECT FROM unnest(polroles) AS r (role)
            WHERE r.role = 0 OR pg_has_role(CASE r.role WHEN 0 THEN NULL ELSE r.role END, 'USAGE')))
"""


def lacking_of_target(connection: Connection, target: TableTarget, role: str) -> Iterator[str]:
    """Yield a line for each right that the role lacks for the route, with the statement that grants it."""
    *schema, name = located_parts(connection, target.name)
    hidden = lacking_usage(connection, schema[-1], role) if schema else None
    if hidden is not None:
        yield hidden
    table = connection.execute(_RELATION, {"schema": schema[-1] if schema else None, "table": name}).fetchone()
    if table is None:
        return
    if target.by_name:
        if hidden is not None:
            return  # nobody without that right can read which columns there are
        target = resolved(target, columns_of(connection, sql.Identifier(*schema, name)))
    given = {"table": table[0], "columns": [each for each, source in target.columns.items() if not source.or_default]}
    shown = resolvable(target.name)
    rights = _rights_of(target)
    for right, columns in rights.items():
        yield from _lacking_on(connection, table[0], shown, right, columns, role)
    for (sequence,) in connection.execute(_LACKING_SEQUENCES, given).fetchall():
        yield f"the sink's role lacks USAGE on sequence {sequence}; GRANT USAGE ON SEQUENCE {sequence} TO {role}"
    for (function,) in connection.execute(_LACKING_FUNCTIONS, given).fetchall():
        yield f"the sink's role lacks EXECUTE on {function}; GRANT EXECUTE ON FUNCTION {function} TO {role}"
    refused = connection.execute(_REFUSED_BY_POLICIES, {"table": table[0], "commands": list(rights)})
    for (command,) in refused.fetchall():
        yield (
            f"row-level security of {shown} has no policy by which the sink's role may {command}; "
            f"CREATE POLICY ... ON {shown} FOR {command} TO {role} ..."
        )


def lacking_usage(connection: Connection, schema: str, role: str, who: str = "sink") -> str | None:
    """Return the line for a schema that the role may not use; None where it may, or where the schema does not exist."""
    row = connection.execute(_OF_SCHEMA, (schema,)).fetchone()
    if row is None or row[0]:
        return None
    shown = sql.Identifier(schema).as_string()
    return f"the {who}'s role lacks USAGE on schema {shown}; GRANT USAGE ON SCHEMA {shown} TO {role}"


def _rights_of(target: TableTarget) -> Mapping[str, Sequence[str]]:
    """Return the columns on which each right is needed; DELETE is a right on the whole table."""
    mark = [target.deleted] if target.deleted else []
    written = [*target.columns, *mark]
    others = [name for name in written if name not in target.key]
    rights: dict[str, Sequence[str]] = {} if target.mode is TableMode.UPDATE else {"INSERT": written}
    if target.mode is not TableMode.APPEND:
        # ON CONFLICT reads the columns that it compares.
        rights["SELECT"] = [*target.key, *mark]
    if target.mode is TableMode.UPDATE:
        rights["UPDATE"] = others
    elif (target.mode in (TableMode.UPSERT, TableMode.NEWEST, TableMode.MERGE) or mark) and others:
        # To read EXCLUDED.x needs SELECT on x, and `newest` reads the version of the existing row.
        rights["SELECT"] = written
        rights["UPDATE"] = others
    if target.tombstones is Tombstones.DELETE or target.replaces:
        # Rows are locked in the order of the key before they are deleted: FOR UPDATE needs UPDATE on any
        # column.
        rights.setdefault("SELECT", list(target.key))
        rights.setdefault("UPDATE", list(target.key[:1]))
        rights["DELETE"] = ()
    return rights


def _lacking_on(
    connection: Connection, table: int, shown: str, right: str, columns: Sequence[str], role: str
) -> Iterator[str]:
    if not columns:
        row = connection.execute("SELECT has_table_privilege(%s::oid, %s)", (table, right)).fetchone()
        if row is not None and not row[0]:
            yield f"the sink's role lacks {right} on {shown}; GRANT {right} ON {shown} TO {role}"
        return
    found = connection.execute(_LACKING_COLUMNS, {"table": table, "columns": list(columns), "right": right})
    if lacking := ", ".join(sql.Identifier(row[0]).as_string() for row in found.fetchall()):
        yield f"the sink's role lacks {right} ({lacking}) on {shown}; GRANT {right} ({lacking}) ON {shown} TO {role}"
