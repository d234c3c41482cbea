"""Servers that may be ended, and a sink with a handler and a table that shows every effect, also a double one."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import Producer

from inbox.dev import backends
from inbox.errors import StartupError
from tests.conftest import MakeTopic
from tests.integration.sink.conftest import EFFECTS, HANDLER_ROUTE, offer  # noqa: F401 - a fixture
from tests.support.databases import create_database
from tests.support.ground import prepare_template
from tests.support.kafka_topics import create_topic, idempotent_producer, unique_name
from tests.support.sink.running import Sink


def apply(event: Any, tx: Any) -> None:
    tx.execute("INSERT INTO effects (event) VALUES (%s)", (event.json()["event"],))


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[backends.OwnServer]:
    """A PostgreSQL of this module alone."""
    yield from _own(backends.chosen_postgres())


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[backends.OwnServer]:
    """A Kafka of this module alone."""
    yield from _own(backends.chosen_kafka())


def _own(backend: backends.Backend) -> Iterator[backends.OwnServer]:
    try:
        server = backend.make_own()
        server.start()
    except StartupError as error:
        pytest.skip(f"needs a server of its own: {error}")
    yield server
    server.close()


@pytest.fixture
def own_database(own_postgres: backends.OwnServer) -> str:
    """The URL of a database of this test on the server that may be ended."""
    own_postgres.start()
    url = create_database(own_postgres.address, unique_name("test"))
    prepare_template(url)
    return url


@pytest.fixture
def make_sink(
    tmp_path: Path,
    make_topic: MakeTopic,
    make_producer: Callable[..., Producer],
    bootstrap_servers: str,
    offer: Callable[..., None],  # noqa: F811 - the fixture
) -> Callable[..., Sink]:
    """A sink on the shared Kafka and on the given database, reached `through` another URL if one is given."""

    def make(database_url: str, *, through: str | None = None) -> Sink:
        sink = Sink(
            tmp_path,
            topic=make_topic(),
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            producer=make_producer(linger_ms=0),
        )
        prepare_sink(sink, offer, database_url=through or database_url)
        return sink

    return make


def prepare_sink(sink: Sink, offer: Callable[..., None], **configuration: str) -> None:  # noqa: F811 - the fixture
    """A handler that adds a row for each event."""
    offer(handler=apply)
    sink.configure(HANDLER_ROUTE, **configuration)
    sink.sql(EFFECTS)


def sink_on(servers: str, directory: Path, database_url: str, offer: Callable[..., None]) -> Sink:  # noqa: F811
    """A sink on a Kafka that is not the shared one."""
    sink = Sink(
        directory,
        topic=create_topic(servers),
        database_url=database_url,
        bootstrap_servers=servers,
        producer=idempotent_producer(servers, **{"linger.ms": 0}),
    )
    prepare_sink(sink, offer)
    return sink
