"""Follow JSON pointers into decoded values."""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

_INDEX = re.compile(r"0|[1-9][0-9]*")


class _Absent:
    """The type of what is at a pointer that leads nowhere."""


ABSENT: Final = _Absent()

Find = Callable[[Any], Any]


def finder(path: Sequence[str], absent: Any = None) -> Find:
    """Return a function that finds the value at a pointer's steps in a row; `absent` where there is none."""
    if len(path) == 1:
        [name] = path
        # Nearly all pointers: one look into the row.
        return lambda row: row.get(name, absent) if type(row) is dict else _step(row, name, absent)
    steps = list(path)

    def find(row: Any) -> Any:
        for step in steps:
            row = row.get(step, absent) if type(row) is dict else _step(row, step, absent)
            if row is absent:
                return absent
        return row

    return find


def _step(container: Any, step: str, absent: Any) -> Any:
    if type(container) is not list or _INDEX.fullmatch(step) is None:
        return absent
    index = int(step)
    return container[index] if index < len(container) else absent
