"""The problems of a configuration, collected so that all are reported together, and never with a secret."""

import json
import re
from collections.abc import Iterable
from datetime import date, datetime, time
from difflib import get_close_matches

from inbox.errors import StartupError
from inbox.kafka.secret_names import LOGIN_IN_URL, NAMED_SECRET, is_secret

Path = tuple[str | int, ...]
"""The path of a value: `("routes", 0, "table", "mode")`."""

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_BEGINS_KEY = "-----BEGIN"
_QUOTE_LENGTH = 60
_LIST_LENGTH = 12


class UnfitError(ValueError):
    """A refusal of a value that its setting cannot take.

    The text says what was expected. `choices` are the valid words if there is a choice.
    """

    def __init__(self, expected: str, choices: Iterable[str] = ()) -> None:
        super().__init__(expected)
        self.expected = expected
        self.choices = tuple(choices)


class Problems:
    """The problems found so far, one line each."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, subject: str, text: str) -> None:
        """Note that `subject` (a key, a variable, a file) is wrong in the way that `text` says."""
        self._lines.append(f"{subject}: {text}")

    def error(self) -> StartupError:
        """Return the problems as one error: a line for each, under a heading if there are several."""
        if len(self._lines) == 1:
            return StartupError(self._lines[0])
        heading = f"{len(self._lines)} problems in the configuration:"
        return StartupError("\n  ".join([heading, *self._lines]))


def show_path(path: Path) -> str:
    """Return a path as text, such as `routes[0].table.mode`.

    Keys that TOML has to quote are quoted. A key that looks like a secret is not shown.
    """
    shown = ""
    for part in path:
        if isinstance(part, int):
            shown += f"[{part}]"
        else:
            shown += ("." if shown else "") + (part if _BARE_KEY.fullmatch(part) else quote(part))
    return shown


def quote(value: object) -> str:
    """Return the value as it would stand in the file, cut to a readable length.

    A value that looks like credentials is not shown.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    if not isinstance(value, str):
        return "something else"
    if _BEGINS_KEY in value or LOGIN_IN_URL.search(value) or NAMED_SECRET.search(value):
        return "(not shown: it looks like a secret)"
    cut = value if len(value) <= _QUOTE_LENGTH else value[:_QUOTE_LENGTH] + "…"
    return json.dumps(cut, ensure_ascii=False)


def holds_secret(path: Path) -> bool:
    """Return whether a value at this path must never be shown."""
    if path[:2] == ("database", "url"):
        return True
    return len(path) > 1 and path[0] in ("kafka", "registry") and is_secret(str(path[1]))


def did_you_mean(word: str, valid: Iterable[str]) -> str:
    """Return the end of a sentence about a wrong word: the valid word that is near, if there is one."""
    near = _nearest(word, valid, likeness=0.6)
    return f"; did you mean {near}?" if near else ""


def hint(word: str, valid: Iterable[str]) -> str:
    """Return the hint of `did_you_mean`; if nothing is near, every valid choice, or the nearest of many."""
    choices = list(valid)
    if near := did_you_mean(word, choices):
        return near
    if len(choices) <= _LIST_LENGTH:
        return f"; valid here: {', '.join(choices)}" if choices else ""
    return f"; the nearest valid one is {_nearest(word, choices, likeness=0.0)}"


def _nearest(word: str, choices: Iterable[str], likeness: float) -> str | None:
    folded = {choice.casefold(): choice for choice in choices}
    near = get_close_matches(word.casefold(), folded, n=1, cutoff=likeness)
    return folded[near[0]] if near else None
