"""The lines that the project logs, taken by a test instead of written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from inbox import log_lines


@contextmanager
def capture_logs() -> Iterator[list[dict[str, Any]]]:
    """Take the lines that any thread logs inside the context: their fields, with `event` and `log_level`."""
    lines: list[dict[str, Any]] = []
    before = log_lines._take
    log_lines._take = lambda level, name, fields: lines.append({**fields, "event": name, "log_level": level})
    try:
        yield lines
    finally:
        log_lines._take = before
