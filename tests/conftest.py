"""Fixtures that every kind of test may ask for. Nothing is started before the first test that needs it."""

import os
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Protocol

import pytest
from confluent_kafka import Producer
from pydantic import SecretStr

ROOT = Path(__file__).parent.parent
# the tests' own modules are imported as `tests.<name>`, from whatever directory pytest is started
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# hundreds of processes of `inbox` are started; where this is set, each would compile all of it anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from inbox.dev import backends  # noqa: E402
from inbox.errors import StartupError  # noqa: E402
from inbox.store.migrations import migrate  # noqa: E402
from inbox.store.options import DatabaseOptions  # noqa: E402
from inbox.telemetry import PAUSED  # noqa: E402
from tests.databases import Copies, create_database, drop_database, with_database  # noqa: E402
from tests.kafka_topics import create_topic, idempotent_producer, transactional_producer, unique_name  # noqa: E402


class MakeTopic(Protocol):
    """The type of the fixture `make_topic`."""

    def __call__(self, partitions: int = 1, **config: str | int) -> str: ...


def prepare_template(url: str) -> None:
    """Brings the template database to the state that each test's database starts from."""
    migrate(DatabaseOptions(url=SecretStr(url)))


def pytest_report_header() -> list[str]:
    """Says what the tests will run against, without starting it."""
    return [
        f"kafka: {_choice(backends.kafka_backends)}",
        f"database: {_choice(backends.postgres_backends)}",
        f"clients: confluent-kafka {version('confluent-kafka')}, psycopg {version('psycopg')}",
    ]


def _choice(find: Callable[[], list[backends.Backend]]) -> str:
    try:
        found = [f"{backend.description} [{backend.kind}]" for backend in find()]
    except StartupError as error:
        return str(error)
    if not found:
        return "none"
    others = f"; also here: {', '.join(found[1:])}" if found[1:] else ""
    return f"{found[0]}{others}"


@pytest.fixture(autouse=True)
def every_outage_ends_with_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves `inbox_paused` set: the gauge is the process's, so a later test would wait for it."""
    yield
    left = {sample.labels["reason"]: sample.value for metric in PAUSED.collect() for sample in metric.samples}
    PAUSED.clear()
    still = {reason: value for reason, value in left.items() if value}
    assert not still, f"{request.node.nodeid} leaves inbox_paused set: {still}"


@pytest.fixture(scope="session")
def servers(request: pytest.FixtureRequest) -> Iterator[backends.Servers]:
    """A Kafka and a PostgreSQL, one start for the whole run."""
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    with backends.servers(progress=say) as running:
        yield running


@pytest.fixture(scope="session")
def template_database(servers: backends.Servers) -> Iterator[str]:
    """The name of the database that each test's own is copied from, prepared once."""
    name = unique_name("template")
    prepare_template(create_database(servers.database_url, name))
    yield name
    drop_database(servers.database_url, name)


@pytest.fixture(scope="session")
def copies(servers: backends.Servers, template_database: str) -> Iterator[Copies]:
    """Copies of the template."""
    made = Copies(servers.database_url, template_database)
    yield made
    made.close()


@pytest.fixture
def make_database(servers: backends.Servers, copies: Copies) -> Iterator[Callable[[], str]]:
    """Makes a fresh copy of the template with each call and returns its URL."""
    made: list[str] = []

    def make() -> str:
        made.append(copies.take())
        return with_database(servers.database_url, made[-1])

    yield make
    for name in made:
        copies.give_back(name)


@pytest.fixture
def database_url(make_database: Callable[[], str]) -> str:
    """The URL of a database of this test alone, a copy of the template."""
    return make_database()


@pytest.fixture
def empty_database_url(servers: backends.Servers) -> Iterator[str]:
    """The URL of a database of this test alone, in which nobody has migrated."""
    name = unique_name("empty")
    yield create_database(servers.database_url, name)
    drop_database(servers.database_url, name)


@pytest.fixture
def bootstrap_servers(servers: backends.Servers) -> str:
    """Where Kafka is."""
    return servers.bootstrap_servers


@pytest.fixture
def make_topic(bootstrap_servers: str) -> MakeTopic:
    """Makes a topic of a unique name with each call: `make_topic(partitions=4, retention_ms=1000)`."""

    def make(partitions: int = 1, **config: str | int) -> str:
        return create_topic(bootstrap_servers, None, partitions, **config)

    return make


@pytest.fixture
def topic(make_topic: MakeTopic) -> str:
    """The name of a topic of this test alone, with one partition."""
    return make_topic()


@pytest.fixture
def make_producer(bootstrap_servers: str) -> Iterator[Callable[..., Producer]]:
    """Makes an idempotent producer, or a transactional one: `make_producer("some-id", linger_ms=0)`."""
    made: list[Producer] = []

    def make(transactional_id: str | None = None, **config: object) -> Producer:
        settings = {name.replace("_", "."): value for name, value in config.items()}
        if transactional_id is None:
            made.append(idempotent_producer(bootstrap_servers, **settings))
        else:
            made.append(transactional_producer(bootstrap_servers, transactional_id, **settings))
        return made[-1]

    yield make
    for producer in made:
        producer.purge()
