"""A sink of this test alone, handlers that look installed, and failpoints."""

import itertools
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from confluent_kafka import Producer

from inbox import failpoints
from inbox.dev.backends import chosen_kafka
from inbox.dev.local.kafka import LocalKafka
from inbox.errors import EventError
from inbox.events import Event
from inbox.failpoints import Failpoint
from inbox.handlers import Transaction
from tests.conftest import MakeTopic
from tests.support.kafka_topics import create_topic, delete_topic, idempotent_producer
from tests.support.sink.logs import apply
from tests.support.sink.running import Out, Sink
from tests.support.sinks import offer_handlers

HANDLER_ROUTE = """
[[routes]]
topic = "TOPIC"
handler = "handler"
"""

EFFECTS = "CREATE TABLE effects (position bigint GENERATED ALWAYS AS IDENTITY, event int NOT NULL, key text)"


@pytest.fixture
def make_sink(
    tmp_path: Path,
    make_topic: MakeTopic,
    make_database: Callable[[], str],
    make_producer: Callable[..., Producer],
    bootstrap_servers: str,
) -> Callable[..., Sink]:
    """Makes a sink with a topic of so many partitions: `make_sink(partitions=4)`. It is not configured yet."""

    def make(partitions: int = 1) -> Sink:
        return Sink(
            tmp_path,
            topic=make_topic(partitions=partitions),
            database_url=make_database(),
            bootstrap_servers=bootstrap_servers,
            producer=make_producer(linger_ms=0),
        )

    return make


@pytest.fixture
def sink(make_sink: Callable[..., Sink]) -> Sink:
    """A sink with one partition. It is not configured yet."""
    return make_sink()


@pytest.fixture
def offer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Makes functions of this test handlers, as an installed package would: `offer(handler=function)`."""

    def offer(**handlers: Any) -> None:
        module = ModuleType("handlers_of_a_test")
        for name, handler in handlers.items():
            setattr(module, name, handler)
        monkeypatch.setitem(sys.modules, module.__name__, module)
        packages = offer_handlers(tmp_path / "packages", {name: f"{module.__name__}:{name}" for name in handlers})
        monkeypatch.syspath_prepend(packages)

    return offer


@pytest.fixture
def handled_by(sink: Sink, offer: Callable[..., None]) -> Callable[..., Sink]:
    """A sink with one route to the given function, and a table `effects`: `handled_by(function, rest=...)`."""

    def make(function: Any, **configuration: str) -> Sink:
        offer(handler=function)
        sink.configure(HANDLER_ROUTE, **configuration)
        sink.sql(EFFECTS)
        return sink

    return make


@pytest.fixture
def at() -> Iterator[Callable[..., None]]:
    """Does something when the sink reaches a failpoint for the `hit`-th time: `at(Failpoint.FENCED, action)`."""
    planned: list[tuple[Failpoint, Callable[[], Any], Iterator[bool]]] = []

    def reached(point: Failpoint) -> None:
        for planned_point, action, now in planned:
            if point is planned_point and next(now):
                action()

    def plan(point: Failpoint, action: Callable[[], Any], *, hit: int = 1) -> None:
        planned.append((point, action, itertools.chain([False] * (hit - 1), [True], itertools.repeat(False))))

    failpoints.arm(reached)
    yield plan
    failpoints.arm(None)


class Fussy:
    """A handler that refuses the numbers in `refused`, and notes in order what it applies."""

    def __init__(self) -> None:
        self.refused: set[int] = set()
        self.seen: list[Event] = []

    def __call__(self, event: Event, tx: Transaction) -> None:
        self.seen.append(event)
        number = event.json()["n"]
        if number in self.refused:
            raise EventError(f"number {number} is refused")
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (number, str(event.key)))


def numbered(number: int, key: str | None) -> Out:
    """An event for `Fussy`, with the number for its id."""
    return Out(number, {"n": number}, key)


@pytest.fixture
def fussy() -> Fussy:
    return Fussy()


@pytest.fixture
def parked(handled_by: Callable[..., Sink], fussy: Fussy) -> Sink:
    """Events 1 to 5. Of key a 1 is parked, 2 and 4 wait; 3 of key b is applied; 5 without a key is parked."""
    sink = handled_by(fussy)
    fussy.refused = {1, 5}
    sink.send(*(numbered(number, key) for number, key in ((1, "a"), (2, "a"), (3, "b"), (4, "a"), (5, None))))
    sink.run()
    assert sink.dead_letters() == [(0, "parked"), (1, "waiting"), (3, "waiting"), (4, "parked")]
    return sink


@pytest.fixture
def handled(handled_by: Callable[..., Sink]) -> Sink:
    """A sink with a handler that notes each event."""
    return handled_by(apply, kafka='"topic.metadata.refresh.interval.ms" = 500')


@pytest.fixture(scope="package")
def kafka() -> Iterator[LocalKafka]:
    """A broker whose files can be cut, one for all tests of this folder: each cuts those of its own topic."""
    if chosen_kafka().kind == "docker":
        pytest.skip("needs a local Kafka")
    server = LocalKafka()
    server.start()
    yield server
    server.close()


@pytest.fixture
def make_cuttable(
    kafka: LocalKafka, tmp_path: Path, database_url: str, offer: Callable[..., None]
) -> Iterator[Callable[..., Sink]]:
    """Makes a sink on a broker whose files can be cut, on a topic with these settings.

    The topics are deleted at the end: a broker does not start on every log that was damaged.
    """
    topics: list[str] = []

    def make(**config: str | int) -> Sink:
        made = Sink(
            tmp_path,
            topic=create_topic(kafka.address, **config),
            database_url=database_url,
            bootstrap_servers=kafka.address,
            producer=idempotent_producer(kafka.address, **{"linger.ms": 100}),
        )
        offer(handler=apply)
        made.configure(HANDLER_ROUTE)
        made.sql(EFFECTS)
        topics.append(made.topic)
        return made

    yield make
    for name in topics:
        delete_topic(kafka.address, name)


@pytest.fixture
def cuttable(make_cuttable: Callable[..., Sink]) -> Sink:
    """A sink on a broker whose files can be cut."""
    return make_cuttable()
