"""The causes of dead letters: letters of one route that failed alike have one cause.

A cause is the route, the class of the error and its text without what differs from event to event: ids,
numbers and quoted parts. Names of constraints, columns and tables stay. Its id is a hash of these, so that
it is the same in every process and after every retry.
"""

import re
from hashlib import sha256
from types import TracebackType
from typing import NamedTuple

import psycopg

from inbox.errors import EventError, FailureKind, InboxError

_LONGEST = 500
_ID_DIGITS = 8
_PACKAGE = __name__.partition(".")[0]

_QUOTED = r"\"[^\"\n]*\"|`[^`\n]*`|«[^»\n]*»|»[^«\n]*«|„[^“\n]*“|“[^”\n]*”|(?<!\w)'[^'\n]*'(?!\w)"
_DIFFERS = re.compile(
    rf"(?P<state>\([0-9A-Z]{{5}}\)(?=$|;|\n))"
    rf"|(?P<name>\b(?:column|columns|constraint|function|index|relation|route|table) (?:{_QUOTED}))"
    rf"|(?P<quoted>{_QUOTED})"
    r"|(?P<id>[^\s\"'`(),;:=]*\d[^\s\"'`(),;:=]*)",
    re.MULTILINE,
)
"""The parts of an error's text: those that stay as they are, and those that differ from event to event."""

_STATE = re.compile(r"\(([0-9A-Z]{5})\)(?:$|;|\n)")
_NAMED = {
    "constraint": re.compile(r"\bconstraint \"([^\"]+)\""),
    "column": re.compile(r"\bcolumn \"([^\"]+)\""),
}
_NAMES_ALONE = ("23", "3F", "42", "44")
"""Classes of SQLSTATE whose messages quote names of the database's objects, and no value."""

_KINDS = {"22": FailureKind.VALUE, "23502": FailureKind.VALUE, "23": FailureKind.CONSTRAINT}
_KINDS |= {"44": FailureKind.CONSTRAINT, "P0": FailureKind.RAISED}


class CauseText(NamedTuple):
    """The text of a cause, and what the text names."""

    text: str
    sqlstate: str | None
    constraint: str | None
    column: str | None


def cause_text(error: str) -> CauseText:
    """Return the text of an error without ids, numbers and quoted parts, and the objects that it names."""
    sqlstate = found[1] if (found := _STATE.search(error)) else None
    names_alone = sqlstate is not None and sqlstate.startswith(_NAMES_ALONE)

    def kept(part: re.Match[str]) -> str:
        if part["state"] or part["name"] or (part["quoted"] and names_alone):
            return part[0]
        return "..." if part["quoted"] else "#"

    named = {name: match[1] if (match := pattern.search(error)) else None for name, pattern in _NAMED.items()}
    return CauseText(" ".join(_DIFFERS.sub(kept, error[:_LONGEST]).split()), sqlstate, **named)


def cause_id(route_id: int, error_class: str, error: str) -> str:
    """Return the id of the cause of a dead letter with this error on this route: eight hexadecimal digits."""
    return sha256(f"{route_id}\n{error_class}\n{cause_text(error).text}".encode()).hexdigest()[:_ID_DIGITS]


def kind_of(error: BaseException, text: str) -> FailureKind:
    """Return the kind of the cause of an event that failed with this error, whose shown text is `text`."""
    if isinstance(error, EventError) and isinstance(error.failure_kind, FailureKind):
        return error.failure_kind
    if found := _STATE.search(text.partition("\n")[0]):
        return _KINDS.get(found[1]) or _KINDS.get(found[1][:2], FailureKind.STATEMENT)
    if isinstance(error, psycopg.Error):
        return FailureKind.STATEMENT
    if not isinstance(error, InboxError) or _raised_outside(error.__traceback__):
        return FailureKind.HANDLER
    return FailureKind.VALUE if _NAMED["column"].match(text) else FailureKind.EVENT


def _raised_outside(traceback: TracebackType | None) -> bool:
    """Return whether other code than this package raised the error."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    return str(traceback.tb_frame.f_globals.get("__name__", "")).partition(".")[0] != _PACKAGE
