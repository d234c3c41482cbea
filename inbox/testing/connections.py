"""Note what a handler does beside its statements: connections, which its transaction cannot undo, and a search path."""

import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from inbox.handlers import LoadedHandler

MOVED = "search_path: "
"""The beginning of a line with a search path that a handler left behind."""

_calls = threading.local()


def note_connections_of_handlers(path: str) -> None:
    """Append a line for each connection that is opened while a handler runs in its thread, and each moved path."""
    _around_calls(path)
    _around_psycopg(path)

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "socket.connect" and getattr(_calls, "running", False):
            _note(path, f"a socket to {_shown(arguments[1])}")

    sys.addaudithook(hook)


def _around_calls(path: str) -> None:
    init = LoadedHandler.__init__

    def made(self: LoadedHandler, name: str, call: Callable[[Any, Any], None], batch: bool) -> None:
        init(self, name, _watched(call, path), batch)

    LoadedHandler.__init__ = made  # type: ignore[method-assign]


def _watched(call: Callable[[Any, Any], None], path: str) -> Callable[[Any, Any], None]:
    def called(events: Any, transaction: Any) -> None:
        before = _search_path(transaction)
        _calls.running = True
        try:
            call(events, transaction)
        finally:
            _calls.running = False
        if (after := _search_path(transaction)) != before:
            _note(path, f"{MOVED}{after}")

    return called


def _search_path(transaction: Any) -> str:
    return str(transaction.fetch_one("SHOW search_path")[0])


def _around_psycopg(path: str) -> None:
    """Wrap psycopg's connect: libpq opens its sockets in C, where Python's audit hooks do not look."""
    connect: Any = vars(psycopg.Connection)["connect"].__func__

    def connected(kind: Any, *arguments: Any, **named: Any) -> Any:
        if getattr(_calls, "running", False):
            _note(path, "a connection of its own to PostgreSQL")
        return connect(kind, *arguments, **named)

    setattr(psycopg.Connection, "connect", classmethod(connected))  # noqa: B010 - types would be those of the old one
    psycopg.connect = psycopg.Connection.connect


def _note(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(line + "\n")


def _shown(address: object) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) and len(address) > 1 else str(address)
