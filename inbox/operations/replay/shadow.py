"""The work of `inbox replay --mode shadow`: the range is tried with the present handlers, and rolled back."""

from collections.abc import Sequence
from contextlib import closing

from inbox.kafka.cluster import Cluster
from inbox.kafka.log.gaps import Gaps
from inbox.kafka.log.reader import LogReader
from inbox.operations.dead_letters.resolve import find_targets
from inbox.operations.replay.plan import Plan, Step
from inbox.operations.replay.trial import RouteTrial, Shadow
from inbox.settings import Settings
from inbox.sink.decoder import TopicDecoder
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.routes import Route
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store

_BATCH_BYTES = 16 * 1024 * 1024
_AT_ONCE = 500
"""The most events in one transaction, after which the rows that handlers locked are free again."""


def shadow(settings: Settings, planned: Plan, *, route: str | None) -> Sequence[RouteTrial]:
    """Return what each route, or the route named, would make of the planned ranges.

    Raises:
        StartupError: a handler, a table or a right is missing.
        TryAgainError: the database or the brokers do not answer.
        HaltError: a handler ended the transaction, or the log cannot be read.
    """
    cluster = Cluster(settings.kafka)
    gaps = Gaps(settings.kafka, cluster, once_compacted=settings.sink.once_compacted)
    with (
        closing(Store(_connected(settings), settings.database.schema)) as store,
        closing(LogReader(settings.kafka, batch_bytes=_BATCH_BYTES, gaps=gaps)) as reader,
    ):
        with startup_errors("preparing the routes"):
            ids = store.audit().routes()
        topics = {step.address.topic for step in planned.steps}
        routes = [each for each in settings.routes if _concerned(each, topics, route) and each.name in ids]
        targets = find_targets(settings, store, {each.name for each in routes})
        session, calls = HandlerSession(store.connection), UnwatchedCalls()
        bound = [targets.bind(each, ids[each.name], session, calls) for each in routes]
        trial = Shadow(store, session, bound, limits=settings.failures)
        for step in planned.steps:
            _try(trial, step, reader, routes)
    return list(trial.found.values())


def _connected(settings: Settings) -> Connection:
    """Connect for handlers, whose calls may take as long as in a worker."""
    return connect(
        settings.database,
        application_name="inbox replay shadow",
        longest_call_seconds=settings.failures.handler_timeout.total_seconds(),
    )


def _concerned(route: Route, topics: set[str], only: str | None) -> bool:
    return only in (None, route.name) and not topics.isdisjoint(route.topics)


def _try(trial: Shadow, step: Step, reader: LogReader, routes: Sequence[Route]) -> None:
    decoder = TopicDecoder(step.address.topic, step.known.topic_id, routes)
    for records, _ in reader.read(step.address, step.from_offset, step.until_offset):
        for start in range(0, len(records), _AT_ONCE):
            trial.try_out(step.known, decoder, records[start : start + _AT_ONCE])
