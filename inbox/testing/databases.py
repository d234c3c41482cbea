"""Create databases for tests, one for each."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import sql

from inbox.store.postgres.database_urls import with_database


class Databases:
    """The databases that tests create on one server."""

    def __init__(self, server_url: str) -> None:
        self._server_url = server_url

    @contextmanager
    def one(self) -> Iterator[str]:
        """Yield the URL of an empty database; drop it afterwards, with all connections to it."""
        name = f"inbox_test_{secrets.token_hex(5)}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield with_database(self._server_url, name)
        finally:
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composed) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(statement)
