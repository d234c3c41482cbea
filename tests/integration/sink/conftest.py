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
from inbox.failpoints import Failpoint
from tests.conftest import MakeTopic
from tests.integration.sink.running import Sink
from tests.sinks import offer_handlers

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
