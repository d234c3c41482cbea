"""What a PostgreSQL error means for the event and the sink, in one table.

Source: PostgreSQL manual, appendix A "PostgreSQL Error Codes". What the table does not know is an
outage that is reported, never a dead letter.
"""

import psycopg
from psycopg import errors

from inbox.errors import EventError, InboxError, StartupError, TryAgainError

_EVENT_CLASSES = {
    "21": "cardinality violation",
    "22": "data exception",
    "23": "integrity constraint violation",
    "44": "WITH CHECK OPTION violation",
    "54": "program limit exceeded",
    "P0": "raised by a function or trigger",
}
"""The event's own fault: it would fail again."""

_REFUSED_AT_START = {
    "28000": "check the user in [database] url",
    "28P01": "check the password in [database] url",
    "3D000": "check the database's name in [database] url, or create it",
    "3F000": "run `inbox migrate`",
    "42501": "grant the right to the sink's role",
    "42P01": "create the table, or correct its name",
}
"""Waiting does not mend these; the remedy of each."""

_HOLDS_VALUES = ("22",)
"""Classes whose message quotes the value: the payload stays out of texts."""


def translated(error: psycopg.Error) -> InboxError:
    """The error of ours that says what follows from `error` once the sink runs."""
    state = error.sqlstate
    if state is None:
        return _of_the_client(error)
    kind = EventError if state[:2] in _EVENT_CLASSES else TryAgainError
    return kind(described(error))


def at_start(error: psycopg.Error, doing: str) -> InboxError:
    """As `translated`, but what only a person can mend is a StartupError; `doing` says what was tried."""
    if (remedy := _REFUSED_AT_START.get(error.sqlstate or _state_in(error))) is not None:
        return StartupError(f"{doing}: {described(error)}; {remedy}")
    return TryAgainError(f"{doing}: {described(error)}")


def described(error: psycopg.Error) -> str:
    """One line with the SQLSTATE and what it concerns, without any value of the event."""
    if error.sqlstate is None:
        return " ".join(str(error).split()) or type(error).__name__
    if error.sqlstate.startswith(_HOLDS_VALUES):
        text = _spoken(_name(error.sqlstate))
        place = f' in column "{error.diag.column_name}"' if error.diag.column_name else ""
    else:
        text, place = error.diag.message_primary or str(error), ""
    return f"{text}{place} ({error.sqlstate})"


def _kind_of(sqlstate: str) -> str:
    try:
        return _spoken(errors.lookup(sqlstate).__name__)
    except KeyError:  # a code of the user's own, from a trigger or a domain's function
        return _EVENT_CLASSES[sqlstate[:2]]


def _of_the_client(error: psycopg.Error) -> InboxError:
    if isinstance(error, psycopg.DataError | psycopg.ProgrammingError) and not isinstance(
        error, psycopg.errors.PipelineAborted
    ):
        return EventError(described(error))
    return TryAgainError(described(error))


def _state_in(error: psycopg.Error) -> str:
    """libpq gives a failed login no SQLSTATE field, only its text."""
    text = str(error)
    if "password authentication failed" in text or "no password supplied" in text:
        return "28P01"
    if "no pg_hba.conf entry" in text or ("role" in text and "does not exist" in text):
        return "28000"
    if "database" in text and "does not exist" in text:
        return "3D000"
    return ""


def _name(state: str) -> str:
    try:
        return errors.lookup(state).__name__
    except KeyError:
        # A function may raise a state of its own.
        return "DataException"


def _spoken(name: str) -> str:
    """`InvalidTextRepresentation` as `invalid text representation`."""
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
