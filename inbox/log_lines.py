"""Write log lines to stderr: one JSON object a line in a pod, readable lines on a terminal.

A line has a name, a level, a time and fields. No field shows a secret: `hide_in_every_line` says which text is one.
"""

import json
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from inbox.printable import printable

Line = Mapping[str, object]

_BOLD, _DIM, _CYAN, _MAGENTA = 1, 2, 36, 35
_LEVEL_COLORS: Mapping[str, int] = {"info": 32, "warning": 33, "error": 31}
_LEVEL_WIDTH = 9
_NAME_WIDTH = 30
_QUOTED = frozenset(" \t=\r\n\"'")
"""The characters for which a text is quoted on a terminal."""

_in_every_line: dict[str, object] = {}
_writing = threading.Lock()


class Log:
    """The log of this process. Each call writes one line, from any thread."""

    def info(self, name: str, /, **fields: object) -> None:
        """Report what happens."""
        _take("info", name, fields)

    def warning(self, name: str, /, **fields: object) -> None:
        """Report what may need a person if it lasts."""
        _take("warning", name, fields)

    def error(self, name: str, /, **fields: object) -> None:
        """Report what needs a person."""
        _take("error", name, fields)


_LOG = Log()


def log() -> Log:
    """Return the log of this process."""
    return _LOG


def log_with(**fields: object) -> None:
    """Add these fields to every line that this process logs from now on, on any thread."""
    _in_every_line.update(fields)


def hide_in_every_line(hide: Callable[[str], str]) -> None:
    """Let `hide` remove secrets from every text that is logged from now on."""
    global _hide
    _hide = hide


def configure_logging(*, human: bool) -> None:
    """Write readable lines from now on, in colours if stderr is a terminal, or one JSON object a line."""
    global _render
    colors = human and sys.stderr.isatty()
    _render = (lambda line: _readable(line, colors=colors)) if human else json.dumps


def _hide_nothing(text: str) -> str:
    return text


def _hidden_within(value: object) -> object:
    if isinstance(value, str):
        return _hide(value)
    if isinstance(value, list | tuple | set | frozenset):
        return [_hidden_within(each) for each in value]
    if isinstance(value, dict):
        return {name: _hidden_within(each) for name, each in value.items()}
    return value if isinstance(value, int | float | None) else _hide(str(value))


def _readable(line: Line, *, colors: bool) -> str:
    """Return a line for people: time, level, name, and the fields by their names."""

    def painted(text: str, *codes: int) -> str:
        return "".join(f"\x1b[{code}m" for code in codes) + f"{text}\x1b[0m" if colors else text

    fields = {name: printable(value) if isinstance(value, str) else repr(value) for name, value in line.items()}
    time, level, name = (fields.pop(each) for each in ("timestamp", "level", "event"))
    parts = [
        painted(time, _DIM),
        f"[{painted(level.ljust(_LEVEL_WIDTH), _LEVEL_COLORS[level], _BOLD)}]",
        painted(name.ljust(_NAME_WIDTH), _BOLD),
        *(f"{painted(each, _CYAN)}={painted(_quoted(fields[each], line[each]), _MAGENTA)}" for each in sorted(fields)),
    ]
    return " ".join(parts).rstrip(" ")


def _quoted(shown: str, value: object) -> str:
    return repr(shown) if isinstance(value, str) and not _QUOTED.isdisjoint(shown) else shown


def _write(level: str, name: str, fields: Line) -> None:
    time = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {**fields, "event": name, "level": level, "timestamp": time, **_in_every_line}
    text = _render({name: _hidden_within(value) for name, value in line.items()}) + "\n"
    # sys.stderr is looked up at each call, so that a replaced one is followed and a closed one is never written to.
    with _writing:
        sys.stderr.write(text)
        sys.stderr.flush()


_hide: Callable[[str], str] = _hide_nothing
_render: Callable[[Line], str] = json.dumps
_take: Callable[[str, str, Line], None] = _write
