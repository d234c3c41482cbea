"""Bring the inbox's own tables up to date, with alembic as a library.

One session runs the revisions, while another holds the schema's lock. The work needs a direct
connection, or a pooler in session mode: session settings would stay behind on a server connection
that serves others.
"""

import io
from contextlib import closing
from typing import Any

import psycopg
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from inbox.errors import InboxError, StartupError, TryAgainError
from inbox.store.locks.migration import is_there, take_lock
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.postgres.connection import connect
from inbox.store.postgres.error_wording import described
from inbox.store.postgres.pooler import own_session
from inbox.store.schema.compatibility import current_revision, is_newer_and_usable, require_payload
from inbox.store.schema.migration_plan import MigrationPath, targets
from inbox.store.schema.revisions import OUTBOX, RevisionStep

# SQLSTATE classes and codes of a database that may succeed later: connection, rollback, resources, lock
# not obtained in time, intervention (57014 is the statement timeout), system, and a standby before its
# promotion.
_LATER = ("08", "40", "53", "55", "57", "58", "25006")


def migrate(
    options: DatabaseOptions, *, to: str = "head", outbox: OutboxOptions | None = None, wait_seconds: float = 60.0
) -> list[RevisionStep]:
    """Bring the tables to a revision, `head`, or `base` (none), and return the steps that this took.

    `head` creates the outbox only where `outbox` is given, and never drops one: `outbox@base` or
    `base` drops it.

    Any number of calls may start together: one works, the others wait up to `wait_seconds` for it
    and then find nothing to do. A migration to an older revision keeps the rows that fit there.
    Each step commits by itself, so after an error the earlier steps stand and the next call
    continues from there.

    Raises:
        StartupError: a person has to act: rights, an unknown revision, a table that is not the inbox's, an
            outbox of the other payload type.
        TryAgainError: the database is away or busy, or another migration did not end in time.
    """
    applied: list[RevisionStep] = []
    try:
        with closing(connect(options, application_name="inbox migrate")) as connection:
            own_session(connection, "a migration")
            if to.endswith("base") and not is_there(connection, options.schema):
                return applied
            with closing(take_lock(connection, options.schema, wait_seconds)):
                _run(connection, options.schema, to, outbox, applied)
    except DBAPIError as error:
        raise _failed(error.orig, options.schema) from error.orig
    except psycopg.Error as error:
        raise _failed(error, options.schema) from error
    return applied


def migration_sql(options: DatabaseOptions, *, to: str = "head", outbox: OutboxOptions | None = None) -> str:
    """Return the SQL that `migrate` would run on an empty database, or with `to="0001:0002"` between those two.

    Needs no database. The script takes no lock; each revision is a transaction of its own.

    Raises:
        StartupError: a revision does not exist, or nothing lies between the two.
    """
    before, _, after = to.rpartition(":")
    starts, ends = targets(before or "base", outbox), targets(after, outbox)
    paths = [MigrationPath(history, starts[history], target) for history, target in ends.items() if history in starts]
    output = io.StringIO()
    for path in paths:
        if path.start != path.target:
            path.write_sql(path.config(options.schema, outbox, [], output=output))
    if not output.getvalue():
        raise StartupError(f'nothing lies between {before or "base"} and {after}; name both, as in "0001:base"')
    return output.getvalue()


def pending(
    connection: psycopg.Connection[Any], schema: str, *, to: str = "head", outbox: OutboxOptions | None = None
) -> list[RevisionStep]:
    """Return the steps that `migrate` would take, in their order; changes nothing.

    Raises:
        StartupError: the revision does not exist, the schema is at one that this version does not know, or its
            outbox has the other payload type.
    """
    return [step for path in _paths(connection, schema, to, outbox) for step in path.steps()]


def _paths(
    connection: psycopg.Connection[Any], schema: str, to: str, outbox: OutboxOptions | None
) -> list[MigrationPath]:
    """Return the way of each history from its current revision; raises everything that can be refused."""
    paths = []
    for history, target in targets(to, outbox).items():
        current = current_revision(connection, schema, history)
        if current is not None:
            if to == "head" and is_newer_and_usable(connection, history, schema, current):
                continue  # an older version after a rollback has nothing to do
            history.refuse_unknown(schema, current)
            if history is OUTBOX and target is not None and outbox is not None:
                require_payload(connection, schema, outbox)
        paths.append(MigrationPath(history, current, target))
    return paths


def _run(
    connection: psycopg.Connection[Any], schema: str, to: str, outbox: OutboxOptions | None, applied: list[RevisionStep]
) -> None:
    paths = [each for each in _paths(connection, schema, to, outbox) if each.start != each.target]
    if not paths:
        return
    connection.autocommit = False
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool, hide_parameters=True
    )
    with engine.connect() as alembics:
        for path in paths:
            config = path.config(schema, outbox, applied)
            config.attributes["connection"] = alembics
            path.run(config)


def _failed(error: BaseException | None, schema: str) -> InboxError:
    doing = f'migrating the schema "{schema}"'
    if not isinstance(error, psycopg.Error):
        return StartupError(f"{doing}: {error}")
    if error.sqlstate is None or error.sqlstate.startswith(_LATER):
        return TryAgainError(f"{doing}: {described(error)}; run `inbox migrate` again")
    if error.sqlstate == "42501":
        remedy = "grant the right, or let the owner run what `inbox migrate --sql` prints"
        return StartupError(f"{doing}: {described(error)}; {remedy}")
    return StartupError(f"{doing}: {described(error)}; correct this and run `inbox migrate` again")
