"""From settings to a worker that is ready to run."""

import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from os import getpid

from inbox.app.binding import Explanation, find_topics, register
from inbox.app.deaths import refuse_deadly_batch
from inbox.app.desks import Desks
from inbox.app.ready import Ready
from inbox.app.tracing import Tracing
from inbox.app.waiting import StopSignal, patiently, unless_stopped
from inbox.errors import StartupError
from inbox.handlers import LoadedHandler, load_handler
from inbox.kafka.cluster import Cluster
from inbox.kafka.consumer import GroupConsumer
from inbox.kafka.gaps import AT_A_TIME_SECONDS, Gaps
from inbox.kafka.options import DEFAULTS
from inbox.settings import Settings
from inbox.sink.assignment import Assignment
from inbox.sink.decode import TopicDecoder
from inbox.sink.intake import Intake
from inbox.sink.routes import HandlerTarget, Route
from inbox.sink.time_limit import TimeLimit
from inbox.sink.worker import Worker
from inbox.sink.writer import Desk, Writer
from inbox.store.database import SinkConnection, connect, starting
from inbox.store.durability import losable_of_schema
from inbox.store.ledger import Ledger
from inbox.store.options import RelayKind, TableTarget
from inbox.store.pooler import require_sessions
from inbox.store.revisions import history_of
from inbox.store.rights import hidden_owners_remedy, missing_rights
from inbox.store.schema_fit import require_current
from inbox.store.sink_rights import OF_SINK
from inbox.store.tables import TableWriter
from inbox.telemetry import log


def prepare(settings: Settings, stop: StopSignal) -> Ready | None:
    """Find everything that a start needs; None when `stop` was set before all was found.

    Raises:
        StartupError: something is missing or wrong; waiting would not mend it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
        HaltError: the log no longer fits the ledger.
    """
    # Imported on this thread: what a handler's package does at its import may want the main one.
    handlers = {route.name: load_handler(name) for route, name in handler_routes(settings.routes)}
    seconds = settings.database.start_timeout_seconds
    return unless_stopped(lambda: patiently(lambda: _find(settings, handlers), seconds, stop), stop)


def _find(settings: Settings, handlers: Mapping[str, LoadedHandler]) -> Ready:
    connection = connect(settings.database)
    with closing(connection), starting("preparing the database"):
        require_current(connection, settings.database.schema, settings.outbox)
        require_rights(connection, settings)
        require_logged(connection, settings.database.schema)
        if handlers:
            require_sessions(connection)
        writers = {route.name: TableWriter(connection, target) for route, target in table_routes(settings.routes)}
        cluster = Cluster(settings.kafka)
        cluster_id = cluster.cluster_id()
        topics = find_topics(cluster, settings.routes)
        require_kafka_rights(cluster, topics)
        registration = register(connection, settings, cluster, cluster_id, topics)
        refuse_deadly_batch(connection, settings, cluster, topics)
        _warn_of_hidden_owners(connection, settings, sorted(topics))
    return Ready(handlers, writers, cluster, topics, registration)


def _warn_of_hidden_owners(connection: SinkConnection, settings: Settings, topics: Sequence[str]) -> None:
    if roles := Ledger(settings.database.schema).hidden_owners(connection, topics):
        log().warning("owners-hidden", roles=roles, remedy=hidden_owners_remedy(connection, roles))


def make_worker(settings: Settings, ready: Ready, *, until_end: bool, tracing: Tracing | None = None) -> Worker:
    """One member of the group, ready to run; with `tracing` it tells what it does in spans."""
    owner = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    session_ms = settings.kafka.properties.get("session.timeout.ms", DEFAULTS["session.timeout.ms"][0])
    assignment = Assignment(owner, reclaim_seconds=int(session_ms) / 1000)
    sink = settings.sink
    decoders = {
        name: TopicDecoder(name, view.topic_id, settings.routes, largest_event=sink.largest_event)
        for name, view in ready.topics.items()
    }
    addresses = [address for view in ready.topics.values() for address in view.addresses()]
    time_limit = TimeLimit(settings.failures.handler_timeout.total_seconds())
    if tracing is not None:
        ready = replace(ready, handlers=tracing.handlers(ready.handlers))
    gaps = Gaps(settings.kafka, ready.cluster, once_compacted=sink.once_compacted, at_a_time_seconds=AT_A_TIME_SECONDS)
    open_desk: Callable[[], Desk] = Desks(settings, ready, owner, time_limit).open
    return Worker(
        GroupConsumer(settings.kafka, batch_bytes=sink.batch_bytes),
        Writer(open_desk if tracing is None else tracing.desks(open_desk)),
        assignment,
        Intake(
            decoders,
            assignment,
            batch_events=sink.batch_events,
            batch_bytes=sink.batch_bytes,
            require_reason=gaps.require_reason,
        ),
        sorted(ready.topics),
        time_limit,
        ends=ready.cluster.stable_ends(addresses) if until_end else None,
        explain=Explanation(settings, ready.cluster).of_halt,
    )


def handler_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, str]]:
    for route in routes:
        if isinstance(route.target, HandlerTarget):
            yield route, route.target.entry_point


def table_routes(routes: Sequence[Route]) -> Iterator[tuple[Route, TableTarget]]:
    for route in routes:
        if not isinstance(route.target, HandlerTarget):
            yield route, route.target


def require_rights(connection: SinkConnection, settings: Settings) -> None:
    """Raises StartupError with one line for each right that is missing."""
    targets = [target for _, target in table_routes(settings.routes)]
    has_outbox = settings.outbox is not None and settings.outbox.existing is None
    publishes = has_outbox and (any(handler_routes(settings.routes)) or settings.failures.copy_to is not None)
    prunes = has_outbox and settings.outbox is not None and settings.outbox.relay is RelayKind.DEBEZIUM
    schema = settings.database.schema
    version = history_of(settings.outbox).version_table if settings.outbox is not None else None
    if problems := missing_rights(
        connection, schema, targets, version=version, publishes=publishes, prunes_outbox=prunes
    ):
        raise StartupError("\n".join(problems))


def require_logged(connection: SinkConnection, schema: str) -> None:
    """Raises StartupError with one line for each of the inbox's tables that a crash of the server empties."""
    if problems := losable_of_schema(connection, schema, [*OF_SINK, "outbox"]):
        raise StartupError("\n".join(problems))


def require_kafka_rights(cluster: Cluster, topics: Iterable[str]) -> None:
    """Raises StartupError with one line for each topic, and the group, that this user may not read."""
    if problems := cluster.missing_rights(sorted(topics)):
        raise StartupError("\n".join(problems))
