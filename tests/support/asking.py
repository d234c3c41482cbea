"""Ask databases, of which a test asks one again and again, while it waits.

A connection costs the client and the server 15 milliseconds of a processor. A question takes a fraction of one.
"""

import select
import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import psycopg

Rows = list[tuple[Any, ...]]


class Asker:
    """The main thread's connection to the database that it asked last, kept for its next question."""

    def __init__(self) -> None:
        self._url = ""
        self._kept: psycopg.Connection[Any] | None = None

    def rows(self, url: str, query: str, parameters: Sequence[Any] | None = None) -> Rows:
        """Return what one statement answers, committed by itself.

        A SELECT may find the connection of an earlier one. Whatever else is sent has a connection of its own, and so
        has the next SELECT, which finds the settings of roles and databases as they are then. Of several servers,
        each question finds the one that serves now.
        """
        is_main = threading.current_thread() is threading.main_thread()
        has_several_hosts = "," in url.partition("?")[0]
        if not is_main or has_several_hosts or not query.lstrip().upper().startswith("SELECT"):
            if is_main:
                self.close()
            with psycopg.connect(url, autocommit=True) as connection:
                return _rows(connection, query, parameters)
        return _rows(self._connection(url), query, parameters)

    def close(self) -> None:
        """End the connection, if there is one."""
        if self._kept is not None:
            with suppress(psycopg.Error):
                self._kept.close()
        self._kept = None

    def _connection(self, url: str) -> "psycopg.Connection[Any]":
        if self._kept is None or self._url != url or _has_ended(self._kept):
            self.close()
            self._kept = psycopg.connect(url, autocommit=True, prepare_threshold=None)
            self._url = url
        return self._kept


ASKER = Asker()
"""This process's, whose connection ends with each test."""


def _rows(connection: "psycopg.Connection[Any]", query: str, parameters: Sequence[Any] | None) -> Rows:
    cursor = connection.execute(query.encode(), parameters)
    return cursor.fetchall() if cursor.description else []


def _has_ended(connection: "psycopg.Connection[Any]") -> bool:
    """Return whether the server closed the connection, or said why it will."""
    return connection.closed or bool(select.select([connection.fileno()], [], [], 0)[0])
