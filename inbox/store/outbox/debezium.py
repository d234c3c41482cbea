"""Change data capture of the outbox: its names in the server, what it needs there, and what is wrong with that.

Sources: PostgreSQL manual, 31 "Logical Replication" and 49 "Logical Decoding"; the manual of
Debezium's connector for PostgreSQL, "Setting up permissions".
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from inbox.errors import StartupError
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection

_SERVER: LiteralString = """
SELECT current_setting('wal_level'),
       current_setting('max_replication_slots')::int - (SELECT count(*) FROM pg_replication_slots)::int,
       current_setting('max_wal_senders')::int
           - (SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'walsender')::int
"""

# On Amazon RDS and Aurora the right to replicate comes with membership in rds_replication.
_ROLE: LiteralString = """
SELECT rolcanlogin,
       rolsuper OR rolreplication OR EXISTS (
           SELECT FROM pg_auth_members JOIN pg_roles AS granted ON granted.oid = roleid
           WHERE member = role.oid AND granted.rolname = 'rds_replication'),
       has_database_privilege(role.oid, current_database(), 'CONNECT'),
       has_schema_privilege(role.oid, %(schema)s, 'USAGE'),
       has_table_privilege(role.oid, to_regclass(%(table)s), 'SELECT'),
       (SELECT min(oid::regprocedure::text) FROM pg_proc WHERE proname = 'pg_logical_emit_message'
        AND proargtypes[2] = 'text'::regtype AND NOT has_function_privilege(role.oid, oid, 'EXECUTE'))
FROM pg_roles AS role WHERE rolname = %(name)s
"""

_PUBLICATION: LiteralString = """
SELECT pubinsert, pubupdate OR pubdelete OR pubtruncate, EXISTS (
           SELECT FROM pg_publication_tables AS published
           WHERE published.pubname = publication.pubname AND schemaname = %(schema)s AND tablename = 'outbox'), EXISTS (
           SELECT FROM pg_publication_rel AS part WHERE prpubid = publication.oid AND prrelid = to_regclass(%(table)s)
           AND (to_jsonb(part) ->> 'prqual' IS NOT NULL OR to_jsonb(part) ->> 'prattrs' IS NOT NULL))
FROM pg_publication AS publication WHERE pubname = %(name)s
"""

_SLOT: LiteralString = """
SELECT plugin, database = current_database(), active, wal_status
FROM pg_replication_slots WHERE slot_name = %(name)s
"""

_REPLICA_IDENTITY: LiteralString = "SELECT relreplident::text FROM pg_class WHERE oid = to_regclass(%(table)s)"

_NAME_BYTES = 63  # NAMEDATALEN - 1
_DEFAULT_PORT = 5432


@dataclass(frozen=True)
class DatabaseAddress:
    """The address of the database, for a client that does not use libpq."""

    host: str
    port: int
    database: str
    sslmode: str | None
    sslrootcert: str | None


def database_address(options: DatabaseOptions) -> DatabaseAddress:
    """Return the address from `[database] url`.

    Raises:
        StartupError: the URL leaves the host or the database open, or names several hosts.
    """
    try:
        given: dict[str, Any] = conninfo_to_dict(options.url.get_secret_value())
    except psycopg.ProgrammingError:
        # libpq's message quotes the URL with its password.
        raise StartupError("[database] url is not a valid libpq URL; see the PostgreSQL manual, 34.1.1.2") from None
    host, database = str(given.get("host") or ""), str(given.get("dbname") or given.get("user") or "")
    if not host or host.startswith(("/", "@")) or "," in host or not database:
        raise StartupError(
            "a connector needs one host and a database, reached over TCP; name both in [database] url, "
            "as in postgresql://user@host:5432/database"
        )
    port = int(given.get("port") or _DEFAULT_PORT)
    return DatabaseAddress(host, port, database, given.get("sslmode"), given.get("sslrootcert"))


class Capture:
    """The capture of one outbox. Publication, slot and role share one name, made from the database and the schema."""

    def __init__(self, database: str, schema: str) -> None:
        self.name = _slot_name(f"{database}_{schema}_outbox")
        self._database = database
        self._schema = schema
        self._table = sql.Identifier(schema, "outbox").as_string()

    def setup(self) -> str:
        """Return the SQL that a superuser runs once: publication, role, and no more rights than needed."""
        names = {
            "name": sql.Identifier(self.name),
            "database": sql.Identifier(self._database),
            "schema": sql.Identifier(self._schema),
            "table": sql.Identifier(self._schema, "outbox"),
        }
        return _SETUP.format(**names).as_string()

    def problems(self, connection: Connection) -> list[str]:
        """Return one line for each thing that the connector would miss, with its remedy."""
        return [
            *self._of_server(connection),
            *self._of_role(connection),
            *self._of_publication(connection),
            *self._of_slot(connection),
            *self._of_table(connection),
        ]

    def _of_server(self, connection: Connection) -> Iterator[str]:
        (wal_level, free_slots, free_senders) = self._ask(connection, _SERVER) or ("", 0, 0)
        if wal_level != "logical":
            yield (
                f"wal_level is {wal_level}, which change data capture cannot read; "
                "ALTER SYSTEM SET wal_level = logical, and restart the server"
            )
        slot = self._ask(connection, _SLOT)
        if slot is None and free_slots < 1:
            yield (
                "every replication slot of the server is taken; "
                "raise max_replication_slots and restart, or drop one that nobody reads (pg_replication_slots)"
            )
        if (slot is None or not slot[2]) and free_senders < 1:
            yield "every WAL sender of the server is taken; raise max_wal_senders and restart the server"

    def _of_role(self, connection: Connection) -> Iterator[str]:
        role = self._ask(connection, _ROLE)
        if role is None:
            yield f'there is no role "{self.name}" for the connector; {_REMEDY}'
            return
        can_login, replicates, connects, uses, reads, heartbeat = role
        name = sql.Identifier(self.name).as_string()
        grants = (
            (can_login, "LOGIN", f"ALTER ROLE {name} LOGIN"),
            (replicates, "REPLICATION", f"ALTER ROLE {name} REPLICATION"),
            (connects, "CONNECT on the database", f'GRANT CONNECT ON DATABASE "{self._database}" TO {name}'),
            (uses, f'USAGE on schema "{self._schema}"', f'GRANT USAGE ON SCHEMA "{self._schema}" TO {name}'),
            (reads, "SELECT on the outbox", f"GRANT SELECT ON {self._table} TO {name}"),
            (not heartbeat, f"EXECUTE on {heartbeat}", f"GRANT EXECUTE ON FUNCTION {heartbeat} TO {name}"),
        )
        for has, right, remedy in grants:
            if not has:
                yield f'the connector\'s role "{self.name}" lacks {right}; {remedy}'

    def _of_publication(self, connection: Connection) -> Iterator[str]:
        publication = self._ask(connection, _PUBLICATION)
        if publication is None:
            yield f'there is no publication "{self.name}"; {_REMEDY}'
            return
        inserts, more, has_outbox, narrowed = publication
        name = sql.Identifier(self.name).as_string()
        if not inserts or more:
            yield (
                f'the publication "{self.name}" publishes something else than inserts, so that pruning would be read '
                f"too; ALTER PUBLICATION {name} SET (publish = 'insert')"
            )
        if narrowed:
            yield (
                f'the publication "{self.name}" leaves out rows or columns of the outbox; '
                f"ALTER PUBLICATION {name} SET TABLE {self._table}"
            )
        if not has_outbox:
            yield (
                f'the publication "{self.name}" is not of the outbox; ALTER PUBLICATION {name} SET TABLE {self._table}'
            )

    def _of_slot(self, connection: Connection) -> Iterator[str]:
        slot = self._ask(connection, _SLOT)
        if slot is None:
            return  # the connector creates it
        plugin, here, _, wal_status = slot
        remedy = f"SELECT pg_drop_replication_slot('{self.name}')"
        if plugin != "pgoutput" or not here:
            yield f'the slot "{self.name}" is of another database or plugin; if nobody reads it, {remedy}'
        elif wal_status == "lost":
            yield (
                f'the slot "{self.name}" was invalidated, since it fell behind max_slot_wal_keep_size; {remedy}, and '
                "start the connector: it reads the outbox as it is, and repeats what it sent before"
            )

    def _of_table(self, connection: Connection) -> Iterator[str]:
        if self._ask(connection, _REPLICA_IDENTITY) == ("n",):
            yield (
                f"{self._table} has replica identity NOTHING, so that any publication of deletes forbids pruning; "
                f"ALTER TABLE {self._table} REPLICA IDENTITY DEFAULT"
            )

    def _ask(self, connection: Connection, question: LiteralString) -> tuple[Any, ...] | None:
        named = {"name": self.name, "schema": self._schema, "table": self._table}
        return connection.execute(question, named).fetchone()


_REMEDY = "run what `inbox outbox connector --sql` prints"

_SETUP = sql.SQL("""\
-- Once, as a superuser or as the owner of the outbox with CREATEROLE and REPLICATION, in the database {database}.
-- Needs wal_level = logical in the server.

-- Only inserts: the deletion of a pruned row is not an event.
CREATE PUBLICATION {name} FOR TABLE {table} WITH (publish = 'insert');

-- On Amazon RDS: without REPLICATION, and GRANT rds_replication TO {name}.
CREATE ROLE {name} LOGIN REPLICATION;
GRANT CONNECT ON DATABASE {database} TO {name};
GRANT USAGE ON SCHEMA {schema} TO {name};
GRANT SELECT ON {table} TO {name};

-- Then its password, in psql:
-- \\password {name}
""")


def _slot_name(text: str) -> str:
    """Return a slot's name, which is unique in the server and holds only lower-case letters, digits and `_`."""
    fitting = re.sub(r"[^a-z0-9_]", "_", text.lower())
    if fitting == text and len(fitting) <= _NAME_BYTES:
        return fitting
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    return f"{fitting[: _NAME_BYTES - len(digest) - 1]}_{digest}"
