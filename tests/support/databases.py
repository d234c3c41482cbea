"""Create databases for tests from a template, each for one test."""

from concurrent.futures import Future, ThreadPoolExecutor
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from inbox.dev.ports import LOOPBACK
from inbox.store.postgres.database_urls import with_database
from tests.support.kafka_topics import unique_name

_WITH_STRATEGIES = 15_00_00
"""The version from which PostgreSQL would write each page of a copy to its log, at twice the cost."""


def create_database(server_url: str, name: str, *, template: str | None = None) -> str:
    """Create a database and return its URL.

    With `template` it is a copy of that database, to which nobody may be connected.
    """
    with psycopg.connect(server_url, autocommit=True) as connection:
        _create(connection, name, template)
    return with_database(server_url, name)


def drop_database(server_url: str, name: str) -> None:
    """Drop a database with all connections to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        _drop(connection, name)


def _create(server: psycopg.Connection, name: str, template: str | None) -> None:
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
        if server.info.server_version >= _WITH_STRATEGIES:
            statement += sql.SQL(" STRATEGY FILE_COPY")
    server.execute(statement)


def _drop(server: psycopg.Connection, name: str) -> None:
    server.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


class Copies:
    """A supply of copies of one database: while a test runs, the next is created and the last is dropped.

    Each copy takes the server a tenth of a second or more, most of it writing, and hundreds of tests need one.
    """

    def __init__(self, server_url: str, template: str) -> None:
        self._server = psycopg.connect(server_url, autocommit=True)
        self._template = template
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="copies")
        self._next = self._thread.submit(self._make)
        self._dropped: list[Future[None]] = []

    def take(self) -> str:
        """Return the name of a copy."""
        taken, self._next = self._next, self._thread.submit(self._make)
        return taken.result()

    def give_back(self, name: str) -> None:
        """Return a copy that no test needs any more."""
        self._dropped.append(self._thread.submit(_drop, self._server, name))

    def close(self) -> None:
        """Drop the remaining copies; raise the error of any that failed."""
        self.give_back(self._next.result())
        self._thread.shutdown()
        self._server.close()
        for dropped in self._dropped:
            dropped.result()

    def _make(self) -> str:
        name = unique_name("test")
        _create(self._server, name, self._template)
        return name


def by_way_of(database_url: str, port: int) -> str:
    """Return the URL of the same database, reached through a listener at that port of this machine."""
    parts = urlsplit(database_url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{LOOPBACK}:{port}").geturl()
