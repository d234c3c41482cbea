"""Fixtures that every kind of test may ask for. Nothing is started before the first test that needs it."""

import gc
import math
import os
import sys
from collections.abc import Callable, Generator, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

import pytest
from confluent_kafka import Producer
from xdist.scheduler import LoadScopeScheduling

ROOT = Path(__file__).parent.parent
# the tests' own modules are imported as `tests.<name>`, from whatever directory pytest is started
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

# hundreds of processes of `inbox` are started; where this is set, each would compile all of it again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

from inbox.dev import backends  # noqa: E402
from inbox.dev.local.registry import LocalRegistry  # noqa: E402
from inbox.dev.local.registry_archive import FETCH, MEGABYTES, is_unpacked  # noqa: E402
from inbox.errors import StartupError  # noqa: E402
from inbox.log_lines import configure_logging  # noqa: E402
from inbox.store.postgres.database_urls import with_database  # noqa: E402
from inbox.telemetry import PAUSED  # noqa: E402
from tests.support.asking import ASKER  # noqa: E402
from tests.support.databases import Copies, create_database, drop_database  # noqa: E402
from tests.support.ground import Ground, Keeper, ground_of, laid, tell_groups  # noqa: E402
from tests.support.kafka_topics import create_topic, idempotent_producer, transactional_producer, unique_name  # noqa: E402
from tests.support.planted import plant_password, pytest_runtest_makereport  # noqa: E402, F401 - a hook of pytest's


class MakeTopic(Protocol):
    """The type of the fixture `make_topic`."""

    def __call__(self, partitions: int = 1, **config: str | int) -> str: ...


KEEPER = pytest.StashKey[Keeper]()
"""In the process that starts the others (`-n`)."""
LONG_SECONDS = 30
"""What a test marked `long` takes if its marker does not say."""


def pytest_configure(config: pytest.Config) -> None:
    """Where this process starts others to run the tests, it keeps the servers for them."""
    if config.getoption("dist", "no") != "no" and not hasattr(config, "workerinput"):
        config.stash[KEEPER] = Keeper(_speaker(config))


def pytest_unconfigure(config: pytest.Config) -> None:
    if (keeper := config.stash.get(KEEPER, None)) is not None:
        keeper.close()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    node.workerinput["ground"] = node.config.stash[KEEPER].address


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what collecting makes, which lives as long as the process, out of the garbage collector's rounds."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests that share a fixture of their module or package run in one process, and what takes long begins first."""
    if (address := keeper_of(config)) is None:
        return
    tell_groups(address, {item.nodeid: group for item in items if (group := group_of(item)) is not None})
    items.sort(key=_place)


def _place(item: pytest.Item) -> float:
    """Return the place of a test in the order of a run: the heavy ones, then the long ones, the longest first."""
    if item.get_closest_marker("heavy") is not None:
        return -math.inf
    long = item.get_closest_marker("long")
    return 0.0 if long is None else -float(long.kwargs.get("seconds", LONG_SECONDS))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return Groups(config, log)


class Groups(LoadScopeScheduling):
    """Hands out tests one by one, but those of a group to one process."""

    def _split_scope(self, nodeid: str) -> str:
        return self.config.stash[KEEPER].groups.get(nodeid, nodeid)


def keeper_of(config: pytest.Config) -> str | None:
    """The address of the process that keeps the servers; None where this process is the only one."""
    found: str | None = getattr(config, "workerinput", {}).get("ground")
    return found


def group_of(item: pytest.Item) -> str | None:
    """What a test has in common with others of one process; None where all of it is its own."""
    if item.get_closest_marker("heavy") is not None:
        return "heavy"
    known = getattr(item, "_fixtureinfo", None)
    definitions = [found[-1] for found in known.name2fixturedefs.values()] if known is not None else []
    packages = [each.baseid for each in definitions if each.scope == "package"]
    if packages:
        return str(min(packages))
    return item.nodeid.partition("::")[0] if any(each.scope == "module" for each in definitions) else None


def _speaker(config: pytest.Config) -> Callable[[str], None]:
    """Return a function that shows a text while the tests run, although their output is captured."""
    capture = config.pluginmanager.getplugin("capturemanager")

    def say(text: str) -> None:
        with capture.global_and_fixture_disabled():
            print(f"\n{text}", flush=True)

    return say


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


@pytest.fixture(scope="session", autouse=True)
def logs_go_to_stderr() -> None:
    """Log as a command does, also in a test that runs a sink before its first command, whose output it reads."""
    configure_logging(human=False)


@pytest.fixture(autouse=True)
def every_outage_ends_with_its_test(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail the test that leaves `inbox_paused` set: the gauge is the process's, so a later test would wait for it."""
    yield
    left = {sample.labels["reason"]: sample.value for metric in PAUSED.collect() for sample in metric.samples}
    PAUSED.clear()
    still = {reason: value for reason, value in left.items() if value}
    assert not still, f"{request.node.nodeid} leaves inbox_paused set: {still}"


@pytest.fixture(autouse=True)
def what_a_test_asked_is_asked_no_more() -> Iterator[None]:
    """End the connection with which the test asked its database."""
    yield
    ASKER.close()


@pytest.fixture(scope="session")
def ground(request: pytest.FixtureRequest) -> Iterator[Ground]:
    """One start of the servers for the whole run, in however many processes it is."""
    if (address := keeper_of(request.config)) is not None:
        yield ground_of(address)
        return
    with laid(_speaker(request.config)) as found:
        yield found


@pytest.fixture(scope="session")
def servers(ground: Ground) -> backends.Servers:
    """A Kafka and a PostgreSQL."""
    plant_password(ground.servers.database_url)
    return ground.servers


@pytest.fixture(scope="session")
def template_database(ground: Ground) -> str:
    """The name of the database that each test's own is copied from."""
    return ground.template


@pytest.fixture(scope="session")
def copies(ground: Ground) -> Iterator[Copies]:
    """Copies of the template."""
    made = Copies(ground.servers.database_url, ground.template)
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


@pytest.fixture(scope="package")
def registry_url() -> Iterator[str]:
    """The address of a schema registry; the tests that use it run in one process."""
    if named := os.environ.get("INBOX_TEST_REGISTRY"):
        yield named
        return
    if not is_unpacked() and not os.environ.get("INBOX_TEST_FETCH_REGISTRY"):
        pytest.skip(f"Apicurio Registry is not in the cache; fetch its {MEGABYTES} MB once with: {FETCH}")
    registry = LocalRegistry()
    registry.start()
    yield registry.url
    registry.close()


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
