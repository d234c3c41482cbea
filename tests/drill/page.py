"""The page of the drill: its commands, and the names in them that stand for those of this run."""

import re
from pathlib import Path
from typing import NamedTuple

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "incident.md"
_BLOCK = re.compile(r"```(sh|sql|json)\n(.*?)```", re.DOTALL)
_CAUSE = re.compile(r"^([0-9a-f]{8})  .*?`inbox dead-letters show (\d+)`", re.MULTILINE | re.DOTALL)


class Step(NamedTuple):
    """A thing to do: a command to type, a statement for the database, or a file to save."""

    kind: str
    text: str


def steps(text: str) -> list[Step]:
    """Return what the page says to do, one command a step, in its order."""
    found = []
    for kind, block in _BLOCK.findall(text):
        found += [Step(kind, line) for line in block.splitlines()] if kind == "sh" else [Step(kind, block)]
    return found


def causes(text: str) -> list[tuple[str, str]]:
    """Return the causes that the page shows, in its order, each with its example."""
    return _CAUSE.findall(text)
