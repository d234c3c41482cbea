"""Check that a broker or a database can be used, and of which version it is."""

import time
from collections.abc import Callable

import psycopg
from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient
from psycopg.conninfo import conninfo_to_dict

from inbox.errors import StartupError

LOOK_EVERY_SECONDS = 0.05


def await_broker(bootstrap_servers: str, *, within: float, ended: Callable[[], str | None]) -> None:
    """Wait until the cluster names a broker and a controller.

    `ended` returns why further waiting is useless, or None. Raises StartupError if it gives a reason, and after
    `within` seconds.
    """
    client = AdminClient(
        {
            "bootstrap.servers": bootstrap_servers,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 100,
            "log_level": 0,  # a refused connection is expected here
        }
    )

    def answers() -> bool:
        try:
            metadata = client.list_topics(timeout=0.5)
        except KafkaException:
            return False
        return bool(metadata.brokers) and metadata.controller_id >= 0

    _wait(f"Kafka on {bootstrap_servers}", answers, within, ended)


def await_database(url: str, *, within: float, ended: Callable[[], str | None]) -> None:
    """Wait until a query is answered.

    `ended` returns why further waiting is useless, or None. Raises StartupError if it gives a reason, and after
    `within` seconds.
    """

    def answers() -> bool:
        try:
            postgres_version(url)
        except psycopg.OperationalError:
            return False
        return True

    _wait(f"PostgreSQL on {address_of(url)}", answers, within, ended)


def postgres_version(url: str) -> str:
    """Return the server's version, e.g. `18.4`. Raises psycopg.OperationalError if it cannot be asked."""
    with psycopg.connect(url, connect_timeout=2, autocommit=True) as connection:
        return connection.info.parameter_status("server_version") or "of unknown version"


def address_of(url: str) -> str:
    """Return the host and port of a database URL, without user and password."""
    known = conninfo_to_dict(url)
    return f"{known.get('host', 'localhost')}:{known.get('port', 5432)}"


def await_answer(what: str, answers: Callable[[], bool], within: float, ended: Callable[[], str | None]) -> None:
    """Wait until `answers` returns true; `what` is named where it does not.

    `ended` returns why further waiting is useless, or None. Raises StartupError if it gives a reason, and after
    `within` seconds.
    """
    _wait(what, answers, within, ended)


def _wait(what: str, answers: Callable[[], bool], within: float, ended: Callable[[], str | None]) -> None:
    deadline = time.monotonic() + within
    while not answers():
        if (reason := ended()) is not None:
            raise StartupError(f"{what} ended while it started; its last words were:\n{reason}")
        if time.monotonic() > deadline:
            raise StartupError(f"{what} did not answer within {within:.0f} s; look at the load of the machine")
        time.sleep(LOOK_EVERY_SECONDS)
