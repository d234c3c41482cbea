"""What the tests of the sink's pure parts share."""

from collections.abc import Callable
from typing import Any

import pytest

from inbox.events import TopicPartition
from inbox.sink.accumulator import BatchAccumulator
from inbox.sink.assignment import Assignment
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.inbox.ledger import LedgerRow

P0, P1 = TopicPartition("orders", 0), TopicPartition("orders", 1)

MakeIntake = Callable[..., BatchAccumulator]


@pytest.fixture(name="route")
def route_() -> Route:
    """A handler's route over `orders`, its ids from the header `id`."""
    return Route(name="r", topics=("orders",), target=HandlerTarget(entry_point="h"), event_id="header:id")


@pytest.fixture(name="assignment")
def assignment_() -> Assignment:
    """Has `orders[0]` with id 7, active from offset 10 with epoch 1."""
    assignment = Assignment("me", reclaim_seconds=45.0)
    assignment.assigned([P0])
    assignment.acquired([LedgerRow(7, P0, 10, "me", 1)])
    assignment.placed(P0)
    return assignment


@pytest.fixture(name="make_intake")
def make_intake_(assignment: Assignment, route: Route) -> MakeIntake:
    """An intake of `orders` for that assignment, with the limits given."""

    def make(*, batch_events: int = 1000, batch_bytes: int = 1_000_000, **more: Any) -> BatchAccumulator:
        decoders = {"orders": TopicDecoder("orders", None, [route])}
        return BatchAccumulator(decoders, assignment, batch_events=batch_events, batch_bytes=batch_bytes, **more)

    return make
