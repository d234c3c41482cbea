"""Pytest fixtures: servers, a database, a topic, and a sink under test.

The servers are those of `inbox dev up`: named by `INBOX_TEST_KAFKA` and `INBOX_TEST_DATABASE`, else Docker,
else started on this machine. They start with the first test that needs them.
"""

import tomllib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # pytest loads this plugin in every run, so it imports nothing that a run does not use
    from inbox.dev.backends import Servers
    from inbox.testing.databases import Databases
    from inbox.testing.launcher import Launcher
    from inbox.testing.sink import SinkUnderTest

Config = str | Path | Mapping[str, Any]


@pytest.fixture(scope="session")
def inbox_servers() -> "Iterator[Servers]":
    """Provide a Kafka and a PostgreSQL for the whole session: `bootstrap_servers` and `database_url`."""
    from inbox.dev.backends import servers

    with servers() as running:
        yield running


@pytest.fixture(scope="session")
def inbox_launcher() -> "Iterator[Launcher]":
    """Provide the process whose forks are the sinks of the session."""
    from inbox.testing.launcher import Launcher

    with Launcher() as launcher:
        yield launcher


@pytest.fixture(scope="session")
def inbox_databases(inbox_servers: "Servers") -> "Databases":
    """Provide the databases of the session."""
    from inbox.testing.databases import Databases

    return Databases(inbox_servers.database_url)


@pytest.fixture
def inbox_database(inbox_databases: "Databases") -> Iterator[str]:
    """Provide the URL of an empty database of this test's own."""
    with inbox_databases.one() as url:
        yield url


@pytest.fixture
def inbox_topic(inbox_servers: "Servers") -> Iterator[str]:
    """Provide the name of a topic of this test's own, with one partition."""
    from inbox.testing.topics import topic

    with topic(inbox_servers.bootstrap_servers) as name:
        yield name


@pytest.fixture
def inbox_sink(
    inbox_servers: "Servers", inbox_database: str, inbox_launcher: "Launcher", tmp_path: Path
) -> "Iterator[Callable[..., SinkUnderTest]]":
    """Provide a function that makes a sink from a configuration: the text or the path of an `inbox.toml`, or a dict.

    The servers, the group and the topics are replaced by the test's own. More than one sink of a test needs
    a `[database] schema` of its own.
    """
    from inbox.testing.sink import SinkUnderTest

    with ExitStack() as stack:

        def make(config: Config, **options: Any) -> SinkUnderTest:
            sink = SinkUnderTest(
                _document(config),
                bootstrap_servers=inbox_servers.bootstrap_servers,
                database_url=inbox_database,
                directory=tmp_path / f"sink-{len(list(tmp_path.iterdir()))}",
                launcher=inbox_launcher,
                **options,
            )
            stack.callback(sink.close)
            return sink

        yield make


def _document(config: Config) -> Mapping[str, Any]:
    if isinstance(config, Mapping):
        return config
    return tomllib.loads(config.read_text() if isinstance(config, Path) else config)
