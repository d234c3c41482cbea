"""The servers that the environment names: they belong to somebody else, so they are only used."""

import psycopg
from psycopg.conninfo import conninfo_to_dict

from inbox.dev.readiness import await_broker, await_database, postgres_version
from inbox.errors import StartupError

ANSWER_WITHIN_SECONDS = 10.0


class NamedKafka:
    """The brokers in INBOX_TEST_KAFKA."""

    description = "Kafka (INBOX_TEST_KAFKA)"

    def __init__(self, bootstrap_servers: str) -> None:
        self.address = bootstrap_servers

    def start(self) -> None:
        """Make sure that the brokers answer. Raises StartupError if they do not within 10 seconds."""
        await_broker(self.address, within=ANSWER_WITHIN_SECONDS, ended=lambda: None)

    def close(self) -> None:
        """Leave the brokers as they are."""


class NamedDatabase:
    """The database in INBOX_TEST_DATABASE, with the right to create others beside it."""

    def __init__(self, url: str) -> None:
        try:
            conninfo_to_dict(url)
        except psycopg.ProgrammingError:
            # not the driver's text, which may quote the password
            raise StartupError(
                "INBOX_TEST_DATABASE is not a database URL; write it as postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
            ) from None
        self.address = url
        self.description = "PostgreSQL (INBOX_TEST_DATABASE)"

    def start(self) -> None:
        """Make sure that the database answers. Raises StartupError if it does not within 10 seconds."""
        await_database(self.address, within=ANSWER_WITHIN_SECONDS, ended=lambda: None)
        self.description = f"PostgreSQL {postgres_version(self.address)} (INBOX_TEST_DATABASE)"

    def close(self) -> None:
        """Leave the database as it is."""
