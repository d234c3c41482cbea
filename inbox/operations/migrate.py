"""The migration of the inbox's own tables, and the look at what it would do."""

import threading
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from inbox.bootstrap.retry import retry_until
from inbox.operations.actions import Action, record_where_kept
from inbox.settings import DatabaseSettings
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.schema.migrate import migrate, pending
from inbox.store.schema.revisions import RevisionStep
from inbox.store.store import Store

_LOOK_EVERY_SECONDS = 2.0


@dataclass(frozen=True)
class Migration:
    """The steps of a schema: taken if `applied`, else still to take."""

    schema: str
    steps: Sequence[RevisionStep]
    applied: bool


def bring_up_to_date(settings: DatabaseSettings, *, to: str = "head") -> Migration:
    """Take the steps to a revision, after waiting for a database that does not answer yet.

    Raises:
        StartupError: a person has to act: rights, an unknown revision, a table that is not the inbox's.
        TryAgainError: the database did not answer in time, or another migration did not end in time.
    """
    _reached(settings.database).close()
    steps = migrate(settings.database, to=to, outbox=settings.outbox)
    if steps:
        _record(settings.database, to, steps)
    return Migration(settings.database.schema, steps, applied=True)


def _record(options: DatabaseOptions, to: str, steps: Sequence[RevisionStep]) -> None:
    """Record the migration where its last revision has the table for that."""
    with closing(connect(options, application_name="inbox migrate")) as connection:
        taken = [{"from": step.before, "to": step.after} for step in steps]
        action = Action(command="migrate", plan={"to": to})
        record_where_kept(Store(connection, options.schema), action, {"steps": taken})


def look_ahead(settings: DatabaseSettings, *, to: str = "head") -> Migration:
    """Return the steps that `bring_up_to_date` would take. Nothing is changed.

    Raises:
        StartupError: no such revision, or the schema is at one that this version does not know.
        TryAgainError: the database did not answer in time.
    """
    schema = settings.database.schema
    with closing(_reached(settings.database)) as connection, startup_errors("reading the revision of the schema"):
        return Migration(schema, pending(connection, schema, to=to, outbox=settings.outbox), applied=False)


def look_ahead_for(settings: DatabaseSettings, seconds: float, *, to: str = "head") -> Migration:
    """Wait at most this many seconds until another process has migrated; return the steps that are left.

    Nothing is changed.

    Raises:
        StartupError: no such revision, or the schema is at one that this version does not know.
        TryAgainError: the database did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while (found := look_ahead(settings, to=to)).steps and time.monotonic() < deadline:
        time.sleep(min(_LOOK_EVERY_SECONDS, seconds))
    return found


def _reached(options: DatabaseOptions) -> Connection:
    return retry_until(
        lambda: connect(options, application_name="inbox migrate"), options.start_timeout_seconds, threading.Event()
    )
