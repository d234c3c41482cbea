"""Find other roles that may create objects where the user's search path looks names up."""

from typing import LiteralString

from psycopg import sql

from inbox.store.postgres.connection import Connection, transaction

_PATH: LiteralString = "SELECT pg_catalog.current_schemas(false)"

_OPEN: LiteralString = """
SELECT n.nspname, CASE a.grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END
FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) a
WHERE n.nspname = ANY (%s) AND a.privilege_type = 'CREATE'
    AND a.grantee <> n.nspowner AND a.grantee <> (SELECT oid FROM pg_roles WHERE rolname = current_user)
ORDER BY 1, 2
"""


def open_schemas(connection: Connection) -> list[tuple[str, str]]:
    """Return the schemas on the user's path in which another role than their owner may create, each with that role."""
    with transaction(connection), connection.users_path():
        row = connection.execute(_PATH).fetchone()
    found = connection.execute(_OPEN, (row[0] if row else [],)).fetchall()
    return [
        (sql.Identifier(schema).as_string(), "PUBLIC" if role is None else sql.Identifier(role).as_string())
        for schema, role in found
    ]
