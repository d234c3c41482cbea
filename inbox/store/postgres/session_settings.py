"""The settings that each session and transaction of the project states for itself.

No setting that changes a meaning comes by accident from the role, the database, the URL or a
pooler. docs/reference/session.md lists each setting and why it is pinned or left to the user.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import LiteralString, NamedTuple

from psycopg import sql

_MODES = "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE"

_OF_TRANSACTIONS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_deferrable": "off",
    "default_transaction_read_only": "off",
}
"""The settings that BEGIN states, for statements outside a transaction."""

_MEANINGS = {
    "TimeZone": "UTC",
    "DateStyle": "ISO, MDY",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "client_encoding": "UTF8",
    "standard_conforming_strings": "on",
    "array_nulls": "on",
    "transform_null_equals": "off",
    "xmloption": "content",
    "exit_on_error": "off",
}
"""The settings that decide how texts and values are converted, and what an error ends."""

_COSTS = {"jit": "off"}
"""Settings that decide what a statement costs. One over forty columns takes 7 ms, and 1.7 s where it is compiled."""

REPORTED = ("TimeZone", "DateStyle", "IntervalStyle", "standard_conforming_strings", "client_encoding")
"""Settings that the server reports to its client at every change (manual, section "Asynchronous Operations")."""

OWN_PATH = "pg_catalog, pg_temp"
"""The search path of the project's statements: nobody else can create a function, an operator or a type there."""

_THE_USERS = ("synchronous_commit", "row_security")
"""Settings that the role, the database or the URL may set. Another client of a pooler may not."""

_LOCK_SECONDS = 30.0
_STATEMENT_SECONDS = 120.0
_IDLE_SECONDS = 60.0
_IDLE_SESSION = "idle_session_timeout"

UNHURRIED: Mapping[str, str] = {"statement_timeout": "0", "transaction_timeout": "0"}
"""The timeouts of statements that read all claims, on which nobody waits."""

ASKED = (
    "search_path",
    *_THE_USERS,
    "statement_timeout",
    "lock_timeout",
    "transaction_timeout",
    _IDLE_SESSION,
    "default_transaction_read_only",
)

_ASK = sql.SQL("""
SELECT name, reset_val, source FROM pg_catalog.pg_settings
WHERE name OPERATOR(pg_catalog.=) ANY ({}::pg_catalog.text[])
""").format(list(ASKED))

PIN: LiteralString = """
SELECT pg_catalog.set_config(name, setting, false)
FROM ROWS FROM (pg_catalog.unnest(%s::pg_catalog.text[]), pg_catalog.unnest(%s::pg_catalog.text[]))
    AS pins (name, setting)
"""

_LIMITS = ("statement_timeout", "lock_timeout")

_SOURCES = {
    "client": "[database] url",
    "user": "ALTER ROLE",
    "database": "ALTER DATABASE",
    "database user": "ALTER ROLE ... IN DATABASE",
    "session": "ALTER ROLE or ALTER DATABASE",
}
"""The sources of a setting in pg_settings, as a person knows them."""

_FROM_THE_SERVER = ("default", "configuration file", "command line", "environment variable", "override")


class Limits(NamedTuple):
    """The limits of a session. `statement_seconds` is None where the configuration does not set it; 0: no limit."""

    longest_call_seconds: float = 0.0
    statement_seconds: float | None = None


class NewSession(NamedTuple):
    """A new session as the server describes it.

    `values` are the values without any SET. `pooled`: a pooler is in between, so the session is
    shared with others. `server_is_read_only`: read-only by its own configuration, as a demoted
    primary is. `limit_source` is the source of `statement_timeout` in pg_settings.
    """

    pooled: bool
    values: Mapping[str, str]
    server_is_read_only: bool
    limit_source: str = "default"


def ask(*, pooled: bool) -> sql.Composed:
    """Return the statements that ask for the settings of a new session; the last one answers.

    Another client of a pooler may have left a statement timeout that is too short to ask. The
    limit that is stated instead hides its source in pg_settings.
    """
    stated = sql.SQL("SET LOCAL statement_timeout = {};").format(_milliseconds(_STATEMENT_SECONDS))
    return stated + _ASK if pooled else _ASK


def session_of(rows: Iterable[tuple[str, str, str]], *, pooled: bool) -> NewSession:
    """Interpret the answer to `ask`."""
    values, read_only, limit_source = {}, False, "default"
    for name, value, source in rows:
        values[name] = value
        if name == "default_transaction_read_only":
            read_only = value == "on" and source in _FROM_THE_SERVER
        elif name == "statement_timeout":
            limit_source = source
    return NewSession(pooled, values, read_only, limit_source)


def pins(session: NewSession, limits: Limits, settings: Mapping[str, str]) -> dict[str, str]:
    """Return the settings to pin in this session; `settings` are the exceptions that its purpose needs."""
    pinned = {
        "search_path": OWN_PATH,
        **_OF_TRANSACTIONS,
        **_MEANINGS,
        **_COSTS,
        **_timeouts(session, limits),
        **settings,
    }
    if session.server_is_read_only or session.values["default_transaction_read_only"] == "off":
        # Not pinned, so that a server that becomes read-only by its own configuration is noticed.
        del pinned["default_transaction_read_only"]
    if session.pooled:
        pinned = {**{name: session.values[name] for name in _THE_USERS}, **pinned}
    return {name: value for name, value in pinned.items() if name in session.values or name not in ASKED}


def _timeouts(session: NewSession, limits: Limits) -> dict[str, str]:
    """Return the timeouts, which limit how long a stopped worker's locks can delay the next owner.

    A limit that the user set stays.
    """
    statement = limits.statement_seconds
    if statement is None:
        statement = _the_users_seconds(session, "statement_timeout") or max(
            _STATEMENT_SECONDS, limits.longest_call_seconds
        )
    return {
        "lock_timeout": _milliseconds(_the_users_seconds(session, "lock_timeout") or _LOCK_SECONDS),
        "statement_timeout": _milliseconds(statement),
        "idle_in_transaction_session_timeout": _milliseconds(_IDLE_SECONDS + limits.longest_call_seconds),
        _IDLE_SESSION: "0",
    }


def statement_limit(session: NewSession, limits: Limits) -> str:
    """Return how long a statement may take, and who says so."""
    if limits.statement_seconds is not None:
        return f"statement_timeout is {limits.statement_seconds:g} s, by [database] statement_timeout"
    if seconds := _the_users_seconds(session, "statement_timeout"):
        return f"statement_timeout is {seconds:g} s, by {_SOURCES.get(session.limit_source, session.limit_source)}"
    return f"statement_timeout is {max(_STATEMENT_SECONDS, limits.longest_call_seconds):g} s, the sink's own limit"


def restated(pinned: Mapping[str, str]) -> Sequence[str]:
    """Return the statements that take back, within a transaction, what handlers and triggers did to the limits."""
    return [f"SET LOCAL {name} = {_literal(name, pinned[name])}" for name in _LIMITS if name in pinned]


def _the_users_seconds(session: NewSession, name: str) -> float:
    return int(session.values.get(name, "0")) / 1000


def _milliseconds(seconds: float) -> str:
    return str(int(1000 * seconds))


_OUTSIDE = (*_OF_TRANSACTIONS, _IDLE_SESSION)
"""The settings that have no effect inside a transaction."""


def local(pinned: Mapping[str, str]) -> str:
    """Return the statements that pin a transaction and nothing after it."""
    return "".join(f"; SET LOCAL {name} = {_literal(name, pinned[name])}" for name in pinned if name not in _OUTSIDE)


def local_at_once(pinned: Mapping[str, str]) -> str:
    """Return one statement that does the same as those of `local`: a pipeline takes no message of several."""
    calls = (
        f"pg_catalog.set_config('{name}', '{_quoted(pinned[name])}', true)" for name in pinned if name not in _OUTSIDE
    )
    return f"SELECT {', '.join(calls)}"


_TIDY = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL",
    "SELECT pg_catalog.pg_advisory_unlock_all(); UNLISTEN *; CLOSE ALL; DISCARD TEMP; DISCARD SEQUENCES",
)
"""The parts of DISCARD ALL without prepared statements, which may run in a transaction and among other statements."""

DEALLOCATE = """
DO $inbox$
DECLARE
    prepared pg_catalog.text;
BEGIN
    FOR prepared IN SELECT name FROM pg_catalog.pg_prepared_statements WHERE from_sql LOOP
        EXECUTE pg_catalog.format('DEALLOCATE %I', prepared);
    END LOOP;
END
$inbox$
"""
"""Drops statements that the command PREPARE prepared; the others are the driver's."""


def tidy(pinned: Mapping[str, str], local_pins: str) -> str:
    """Return the statements that undo every other change of the session and state its settings again."""
    settings, rest = _TIDY
    again = "".join(f"; SET {name} = {_literal(name, value)}" for name, value in pinned.items())
    return f"{settings}{again}{local_pins}; {rest}"


def local_path(value: str) -> str:
    """Return the statement that sets the search path until the transaction ends or is undone to before."""
    return f"SET LOCAL search_path = {_literal('search_path', value)}"


def _literal(name: str, value: str) -> str:
    if name == "search_path":
        return value or "''"  # a list, quoted as far as its names need it
    return f"'{_quoted(value)}'"


def _quoted(value: str) -> str:
    return value.replace("'", "''")


def begin(*, read_only: bool, server_is_read_only: bool) -> str:
    """Return BEGIN with its modes. A server that is read-only by its own configuration is not written to."""
    if read_only:
        return f"{_MODES} READ ONLY"
    return _MODES if server_is_read_only else f"{_MODES} READ WRITE"
