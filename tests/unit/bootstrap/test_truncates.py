"""A truncate has no key, so it keeps its order only in a topic with one partition."""

from dataclasses import replace

from inbox.bootstrap.topics import unordered_truncates
from inbox.kafka.cluster import TopicView
from inbox.reading.options import Envelope, Truncates
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import TableMode, TableTarget

TABLE = TableTarget(name="t", mode=TableMode.UPSERT, columns={}, key=("id",), envelope=Envelope.DEBEZIUM)
ROUTE = Route(name="r", topics=("orders",), target=TABLE, envelope=Envelope.DEBEZIUM, truncates=Truncates.APPLY)
ONE, THREE = ({"orders": TopicView("orders", None, tuple(range(count)))} for count in (1, 3))


def test_truncates_are_applied_from_one_partition_alone() -> None:
    assert list(unordered_truncates([ROUTE], ONE)) == []
    [problem] = unordered_truncates([ROUTE], THREE)
    assert problem.startswith('route r: truncates = "apply" needs a topic with one partition, and orders has 3')


def test_routes_that_apply_no_truncate_may_have_any_topic() -> None:
    ignoring = replace(ROUTE, truncates=Truncates.IGNORE)
    handling = replace(ROUTE, target=HandlerTarget(entry_point="h"))
    assert list(unordered_truncates([ignoring, handling], THREE)) == []
