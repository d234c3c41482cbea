"""Recognise the statements by which a handler would end the sink's transaction."""

import re
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

from inbox.errors import EventError

_CONTROL = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/|;)*"
    r"(?:(?P<nests>savepoint|release|rollback(?=\s+(?:(?:work|transaction)\s+)?to\b))"
    r"|(?P<ends>begin|start|commit|end|abort|rollback|prepare\s+transaction)"
    r"|(?P<prepares>prepare))\b",
    re.IGNORECASE | re.DOTALL,
)


class Kind(Enum):
    """The kinds of statements that control a transaction or outlive it."""

    ENDS = "ends"
    """It begins or ends a transaction."""
    NESTS = "nests"
    """It makes a savepoint, or goes back to one."""
    PREPARES = "prepares"
    """It prepares a statement, which outlives the transaction."""


class Control(NamedTuple):
    """The word by which a statement begins, and its kind."""

    word: str
    kind: Kind


@lru_cache(maxsize=1024)
def control_of(query: str) -> Control | None:
    """Return how a statement controls the transaction; None for other statements."""
    found = _CONTROL.match(query)
    if found is None or found.lastgroup is None:
        return None
    return Control(found[found.lastgroup].upper(), Kind(found.lastgroup))


def refused(control: Control) -> EventError:
    """Return the error of a handler that executed such a statement."""
    return EventError(
        f"the handler executed {control.word}; the sink begins and ends its transactions itself, "
        "so remove the statement"
    )
