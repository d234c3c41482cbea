"""The inbox's own tables: brought up to date, or looked at."""

import threading
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

from inbox.app.waiting import patiently
from inbox.store.database import SinkConnection, connect, starting
from inbox.store.migrations import Step, migrate, pending
from inbox.store.options import DatabaseOptions


@dataclass(frozen=True)
class Migration:
    """The steps of a schema, taken if `applied`, else still to take."""

    schema: str
    steps: Sequence[Step]
    applied: bool


def bring_up_to_date(options: DatabaseOptions, *, to: str = "head") -> Migration:
    """Takes the steps to a revision, after waiting for a database that does not answer yet.

    Raises:
        StartupError: a person has to act: rights, an unknown revision, a table that is not the inbox's.
        TryAgainError: the database did not answer in time, or another migration did not end in time.
    """
    _reached(options).close()
    return Migration(options.schema, migrate(options, to=to), applied=True)


def look_ahead(options: DatabaseOptions, *, to: str = "head") -> Migration:
    """The steps that `bring_up_to_date` would take; changes nothing.

    Raises:
        StartupError: no such revision, or the schema is at one that this version does not know.
        TryAgainError: the database did not answer in time.
    """
    with closing(_reached(options)) as connection, starting("reading the revision of the schema"):
        return Migration(options.schema, pending(connection, options.schema, to=to), applied=False)


def _reached(options: DatabaseOptions) -> SinkConnection:
    return patiently(
        lambda: connect(options, application_name="inbox migrate"), options.start_timeout_seconds, threading.Event()
    )
