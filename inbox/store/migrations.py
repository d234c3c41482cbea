"""Brings the inbox's own tables up to date, with alembic as a library.

One session does it all: it takes the advisory lock, then runs the revisions, so the lock lives exactly as
long as the work that it guards. It needs a direct connection, or a pooler in session mode: a lock taken
through a pooler in transaction mode stays behind on a server connection that serves others.
"""

import hashlib
import io
import sys
import time
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple, TextIO

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationInfo
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from psycopg import sql
from psycopg.rows import tuple_row
from sqlalchemy import NullPool, create_engine
from sqlalchemy.exc import DBAPIError

from inbox.errors import InboxError, StartupError, TryAgainError
from inbox.store.database import connect
from inbox.store.failures import described
from inbox.store.options import DatabaseOptions
from inbox.store.schema import VERSION_TABLE

_POLL_SECONDS = 0.2

# SQLSTATE classes and codes of a database that may do it later: connection, rollback, resources, lock not
# had in time, intervention (57014 is the statement timeout), system, and a standby before its promotion.
_LATER = ("08", "40", "53", "55", "57", "58", "25006")

_HOLDER = """
SELECT l.pid, a.application_name
FROM pg_locks l LEFT JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s
"""


class Step(NamedTuple):
    """One applied revision: what the schema was at and is at now. None is no tables at all."""

    before: str | None
    after: str | None


def migrate(options: DatabaseOptions, *, to: str = "head", wait_seconds: float = 60.0) -> list[Step]:
    """Brings the tables to a revision, `head`, or `base` (none), and tells the steps that this took.

    Any number may start at once: one works, the others wait up to `wait_seconds` for it and then find
    nothing to do. An older revision is gone back to, with its rows where they fit. Each step commits by
    itself, so after an error the steps before it stand and the next call goes on from there.

    Raises:
        StartupError: a person has to act: rights, an unknown revision, a table that is not the inbox's.
        TryAgainError: the database is away or busy, or another migration did not end in time.
    """
    applied: list[Step] = []
    try:
        with closing(connect(options, application_name="inbox migrate")) as connection:
            _take_lock(connection, options.schema, wait_seconds)
            _run(connection, options.schema, to, applied)
    except DBAPIError as error:
        raise _failed(error.orig, options.schema) from error.orig
    except psycopg.Error as error:
        raise _failed(error, options.schema) from error
    return applied


def migration_sql(options: DatabaseOptions, *, to: str = "head") -> str:
    """The SQL that `migrate` would run from an empty database, or with `to="0001:0002"` between those two.

    Needs no database. The script takes no lock; each revision is a transaction of its own.

    Raises:
        StartupError: no such revision, or nothing lies between the two.
    """
    before, _, after = to.rpartition(":")
    script = _script()
    start, target = _resolved(script, before or "base"), _resolved(script, after)
    if start == target:
        raise StartupError(f'nothing lies between {before or "base"} and {after}; name both, as in "0001:base"')
    output = io.StringIO()
    config = _config(options.schema, [], output=output)
    _direction(script, start, target)(config, f"{start or 'base'}:{target or 'base'}", sql=True)
    return output.getvalue()


def pending(connection: psycopg.Connection[Any], schema: str, *, to: str = "head") -> list[Step]:
    """The steps that `migrate` would take, in their order; changes nothing.

    Raises:
        StartupError: no such revision, or the schema is at one that this version does not know.
    """
    script = _script()
    target, current = _resolved(script, to), current_revision(connection, schema)
    if current is not None:
        _refuse_unknown(script, schema, current)
    here, there = _with_base(script, current), _with_base(script, target)
    if target in here:
        return [Step(before, after) for before, after in pairwise(here[: here.index(target) + 1])]
    ahead = there[: there.index(current) + 1][::-1]
    return [Step(before, after) for before, after in pairwise(ahead)]


def head_revision() -> str:
    """The revision that this version of the software needs."""
    return _down_from(_script(), "head")[0]


def current_revision(connection: psycopg.Connection[Any], schema: str) -> str | None:
    """The revision that the schema is at; None when there is no schema, or no tables of the inbox in it."""
    table = sql.Identifier(schema, VERSION_TABLE)
    with connection.transaction(), connection.cursor(row_factory=tuple_row) as cursor:
        cursor.execute("SELECT to_regclass(%s)", (table.as_string(connection),))
        if cursor.fetchone() == (None,):
            return None
        cursor.execute(sql.SQL("SELECT version_num FROM {}").format(table))
        row = cursor.fetchone()
    return None if row is None else str(row[0])


def require_current(connection: psycopg.Connection[Any], schema: str) -> None:
    """Returns if the schema is at the revision that this version needs.

    Raises:
        StartupError: there are no tables, or they are behind or ahead of this version.
    """
    current, needed = current_revision(connection, schema), head_revision()
    if current is None:
        raise StartupError(f'the schema "{schema}" holds no tables of the inbox; run `inbox migrate`')
    _refuse_unknown(_script(), schema, current)
    if current != needed:
        raise StartupError(
            f'the schema "{schema}" is at revision {current}, this version needs {needed}; run `inbox migrate`'
        )


def migrations_directory() -> Path:
    """Where the revisions are: inside the package in a wheel, beside it in a checkout."""
    package = Path(__file__).parents[1]
    for directory in (package / "migrations", package.parent / "migrations"):
        if (directory / "env.py").is_file():
            return directory
    raise StartupError(f"the installation at {package} lacks its migrations; install kafka-inbox again")


def _run(connection: psycopg.Connection[Any], schema: str, to: str, applied: list[Step]) -> None:
    script = _script()
    target = _resolved(script, to)
    current = current_revision(connection, schema)
    if current is not None:
        _refuse_unknown(script, schema, current)
    if current == target:
        return
    connection.autocommit = False
    engine = create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=NullPool)
    with engine.connect() as alembics:
        config = _config(schema, applied)
        config.attributes["connection"] = alembics
        _direction(script, current, target)(config, target or "base")


def _config(schema: str, applied: list[Step], *, output: TextIO = sys.stdout) -> Config:
    def note(*, step: MigrationInfo, **_: Any) -> None:
        before, after = step.source_revision_ids, step.destination_revision_ids
        applied.append(Step(before[0] if before else None, after[0] if after else None))

    config = Config(output_buffer=output)
    config.set_main_option("script_location", str(migrations_directory()).replace("%", "%%"))
    config.attributes.update(schema=schema, on_version_apply=note)
    return config


def _script() -> ScriptDirectory:
    return ScriptDirectory(migrations_directory())


def _resolved(script: ScriptDirectory, name: str) -> str | None:
    try:
        found = script.get_revision(name)
    except CommandError:
        found = None
    if found is None and name != "base":
        known = ", ".join(reversed(_down_from(script, "head")))
        raise StartupError(f'there is no revision "{name}"; this version knows {known}, head and base')
    return None if found is None else found.revision


def _direction(script: ScriptDirectory, start: str | None, target: str | None) -> Callable[..., None]:
    return command.downgrade if target in _with_base(script, start)[1:] else command.upgrade


def _with_base(script: ScriptDirectory, revision: str | None) -> list[str | None]:
    """The revision and those before it, newest first, and None for no tables at all."""
    return [*(_down_from(script, revision) if revision else []), None]


def _down_from(script: ScriptDirectory, revision: str) -> list[str]:
    """The revision and those before it, newest first."""
    return [step.revision for step in script.iterate_revisions(revision, "base")]


def _refuse_unknown(script: ScriptDirectory, schema: str, current: str) -> None:
    known = _down_from(script, "head")
    if current not in known:
        raise StartupError(
            f'the schema "{schema}" is at revision {current}, which this version does not know '
            f"(its newest is {known[0]}); upgrade kafka-inbox"
        )


def _take_lock(connection: psycopg.Connection[Any], schema: str, wait_seconds: float) -> None:
    # Polled in autocommit: a session that waits inside pg_advisory_lock holds a snapshot, and so deadlocks
    # with a CREATE INDEX CONCURRENTLY of the session that it waits for.
    digest = hashlib.sha256(b"kafka-inbox migrations " + schema.encode()).digest()
    key = int.from_bytes(digest[:8], "big", signed=True)
    until = time.monotonic() + wait_seconds
    while connection.execute("SELECT pg_try_advisory_lock(%s)", (key,)).fetchone() != (True,):
        if time.monotonic() >= until:
            raise _still_locked(connection, schema, key, wait_seconds)
        time.sleep(_POLL_SECONDS)


def _still_locked(connection: psycopg.Connection[Any], schema: str, key: int, waited: float) -> TryAgainError:
    holder = connection.execute(_HOLDER, (key,)).fetchone()
    who = f'pid {holder[0]}, application_name "{holder[1]}"' if holder else "a session that ended just now"
    return TryAgainError(
        f'another migration of the schema "{schema}" still runs after {waited:g} s ({who}); '
        "wait for it, or end it with pg_terminate_backend"
    )


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
