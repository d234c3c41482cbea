"""Databases for tests: made from a template, each for one test."""

from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from inbox.dev.ports import LOOPBACK


def with_database(url: str, name: str) -> str:
    """The same server's URL for another database."""
    return urlsplit(url)._replace(path=f"/{name}").geturl()


def create_database(server_url: str, name: str, *, template: str | None = None) -> str:
    """Creates a database and returns its URL.

    With `template` as a copy of that one, to which nobody may be connected.
    """
    statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name))
    if template is not None:
        statement += sql.SQL(" TEMPLATE {}").format(sql.Identifier(template))
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(statement)
    return with_database(server_url, name)


def drop_database(server_url: str, name: str) -> None:
    """Drops a database with all connections to it."""
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


def by_way_of(database_url: str, port: int) -> str:
    """The same database, reached through what listens at that port of this machine."""
    parts = urlsplit(database_url)
    login = parts.netloc.rpartition("@")[0]
    return parts._replace(netloc=f"{login}@{LOOPBACK}:{port}").geturl()
