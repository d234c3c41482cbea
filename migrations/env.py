"""How alembic runs the revisions of the inbox's tables.

`inbox.store.schema.migrate` starts this and passes the connection, the schema and where to note each step;
alembic's own command line is only for writing new revisions.

The schema is the search path, so that revisions name tables alone and serve any schema. A revision that
needs longer than the limits below sets its own, with its reason.
"""

from typing import Any

from alembic import context
from sqlalchemy import DDL, Connection, inspect
from sqlalchemy.schema import CreateSchema

from inbox.store.schema.inbox_tables import metadata

# A running sink holds its locks for one batch. A session that waits longer than this for one stops every
# batch behind it, so it is better to give up and be started again.
LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "60s"

schema: str = context.config.attributes["schema"]
version_table: str = context.config.attributes["version_table"]

# Offline, some versions of alembic write this themselves.
FORGET = DDL(f"DROP TABLE IF EXISTS {version_table}")

options: dict[str, Any] = {
    "target_metadata": metadata(schema),
    "version_table": version_table,
    "version_table_schema": schema,
    "transaction_per_migration": True,
    "on_version_apply": context.config.attributes["on_version_apply"],
}


def settings() -> list[DDL]:
    """What the session runs with."""
    quoted = '"' + schema.replace('"', '""') + '"'
    values = {
        "lock_timeout": f"'{LOCK_TIMEOUT}'",
        "statement_timeout": f"'{STATEMENT_TIMEOUT}'",
        "search_path": f"{quoted}, pg_temp",
    }
    # DDL is a format string, so a percent sign in the schema's name is written twice.
    return [DDL(f"SET {name} TO {value.replace('%', '%%')}") for name, value in values.items()]


def run_offline() -> None:
    """Writes the SQL instead of running it."""
    # With named parameters no percent sign is doubled.
    context.configure(dialect_name="postgresql", dialect_opts={"paramstyle": "named"}, **options)
    if context.get_starting_revision_argument() is None:
        context.execute(CreateSchema(schema, if_not_exists=True))
    for statement in settings():
        context.execute(statement)
    with context.begin_transaction():
        context.run_migrations()
    if context.get_revision_argument() is None:
        context.execute(FORGET)
    for name in ("search_path", "statement_timeout", "lock_timeout"):
        context.execute(f"RESET {name}")


def run_online(connection: Connection) -> None:
    """Runs each revision in a transaction of its own."""
    # IF NOT EXISTS alone asks for the right to create even when the schema is there.
    if schema not in inspect(connection).get_schema_names():
        connection.execute(CreateSchema(schema))
    for statement in settings():
        connection.execute(statement)
    # Inside a transaction that is open already alembic would not commit each revision.
    connection.commit()
    context.configure(connection=connection, **options)
    with context.begin_transaction():
        context.run_migrations()
    if not context.get_context().get_current_heads():
        connection.execute(FORGET)
    connection.commit()


if context.is_offline_mode():
    run_offline()
else:
    run_online(context.config.attributes["connection"])
