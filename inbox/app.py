"""Wires the parts together; nothing else knows them all."""

import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from os import getpid
from time import monotonic
from typing import TypeVar

from inbox.errors import HaltError, StartupError, TryAgainError
from inbox.events import TopicPartition
from inbox.handlers import LoadedHandler, load_handler
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.consumer import GroupConsumer
from inbox.policy import backoff
from inbox.settings import Settings
from inbox.sink.apply import Effect, HandlerEffect, TableEffect
from inbox.sink.assignment import Assignment
from inbox.sink.decode import TopicDecoder
from inbox.sink.intake import Intake
from inbox.sink.isolate import BoundRoute, ParkedKeys
from inbox.sink.routes import HandlerTarget, Route, StartPoint
from inbox.sink.settle import Settler
from inbox.sink.worker import Worker
from inbox.sink.writer import Writer
from inbox.store.database import SinkConnection, connect, starting
from inbox.store.ledger import KnownPartition, Ledger
from inbox.store.migrations import require_current
from inbox.store.options import TableTarget
from inbox.store.registration import Register, Registration, RouteIdentity, SinkIdentity
from inbox.store.rights import missing_rights
from inbox.store.session import HandlerSession
from inbox.store.tables import TableWriter
from inbox.telemetry import log

_DEFAULT_SESSION_TIMEOUT_MS = "45000"

Found = TypeVar("Found")


@dataclass(frozen=True)
class Ready:
    """Everything that a start needs, found in order."""

    handlers: Mapping[str, LoadedHandler]
    writers: Mapping[str, TableWriter]
    cluster: Cluster
    topics: Mapping[str, TopicView]
    registration: Registration


def prepare(settings: Settings, stop: threading.Event) -> Ready:
    """Find everything that a start needs.

    Raises:
        StartupError: something is missing or wrong; waiting would not mend it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
        HaltError: the log no longer fits the ledger.
    """
    handlers = {route.name: load_handler(name) for route, name in handler_routes(settings.routes)}
    connection = patiently(lambda: connect(settings.database), settings.database.start_timeout_seconds, stop)
    with _closing(connection), starting("preparing the database"):
        require_current(connection, settings.database.schema)
        require_rights(connection, settings)
        writers = {route.name: TableWriter(connection, target) for route, target in table_routes(settings.routes)}
        cluster = Cluster(settings.kafka)
        cluster_id = patiently(cluster.cluster_id, settings.database.start_timeout_seconds, stop)
        topics = find_topics(cluster, settings.routes)
        registration = register(connection, settings, cluster, cluster_id, topics)
    return Ready(handlers, writers, cluster, topics, registration)


def make_worker(settings: Settings, ready: Ready, *, until_end: bool) -> Worker:
    """One member of the group, ready to run."""
    owner = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    session_ms = settings.kafka.properties.get("session.timeout.ms", _DEFAULT_SESSION_TIMEOUT_MS)
    assignment = Assignment(owner, reclaim_seconds=int(session_ms) / 1000)
    decoders = {name: TopicDecoder(name, view.topic_id, settings.routes) for name, view in ready.topics.items()}
    sink = settings.sink
    addresses = [address for view in ready.topics.values() for address in view.addresses()]
    return Worker(
        GroupConsumer(settings.kafka, queue_bytes=2 * sink.batch_bytes),
        Writer(_desk_opener(settings, ready, owner)),
        assignment,
        Intake(decoders, assignment, batch_events=sink.batch_events, batch_bytes=sink.batch_bytes),
        sorted(ready.topics),
        ends=ready.cluster.stable_ends(addresses) if until_end else None,
    )


def _desk_opener(settings: Settings, ready: Ready, owner: str) -> Callable[[], Settler]:
    parked_keys: ParkedKeys = {}

    def introduce(connection: SinkConnection, partitions: Sequence[TopicPartition]) -> None:
        _introduce(connection, settings.database.schema, ready.cluster, partitions)

    def open_desk() -> Settler:
        try:
            connection = connect(settings.database, application_name=f"kafka-inbox {settings.sink.name}")
        except StartupError as error:
            raise TryAgainError(str(error)) from error
        session = HandlerSession(connection)
        if ready.handlers:
            session.prepare()
        return Settler(
            connection,
            session,
            [_bound(route, ready) for route in settings.routes],
            schema=settings.database.schema,
            owner=owner,
            routes_revision=ready.registration.routes_revision,
            limits=settings.failures,
            parked_keys=parked_keys,
            introduce=introduce,
        )

    return open_desk


def _bound(route: Route, ready: Ready) -> BoundRoute:
    loaded = ready.handlers.get(route.name)
    effect: Effect = TableEffect(ready.writers[route.name]) if loaded is None else HandlerEffect(loaded)
    return BoundRoute(route.name, ready.registration.route_ids[route.name], effect, handlers=loaded is not None)


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
    if problems := missing_rights(connection, settings.database.schema, targets):
        raise StartupError("\n".join(problems))


def find_topics(cluster: Cluster, routes: Sequence[Route]) -> Mapping[str, TopicView]:
    """Raises StartupError where a route names a topic that the cluster does not have."""
    wanted = sorted({topic for route in routes for topic in route.topics})
    found = cluster.topics(wanted)
    if absent := [topic for topic in wanted if topic not in found]:
        raise StartupError(
            f"the cluster has no topic {', '.join(absent)} (or this user may not see it); create it, or correct "
            "[[routes]] topic"
        )
    return found


def register(
    connection: SinkConnection, settings: Settings, cluster: Cluster, cluster_id: str, topics: Mapping[str, TopicView]
) -> Registration:
    """Bind the schema to this sink, and give every partition its first offset."""
    sink = SinkIdentity(
        name=settings.sink.name,
        group_id=settings.kafka.group_id,
        cluster_id=cluster_id,
        routes=tuple(RouteIdentity(route.name, route.topics, route.event_id) for route in settings.routes),
        retired_routes=settings.sink.retired_routes,
    )
    ledger = Ledger(settings.database.schema)

    def add_partitions(locked: SinkConnection) -> None:
        for view in topics.values():
            known = ledger.known(locked, [view.name])
            _refuse_other_log(known, view, cluster)
            fresh = [address for address in view.addresses() if address not in {each.address for each in known}]
            starts = _starts(cluster, fresh, settings.sink.start if not known else StartPoint.EARLIEST)
            ledger.add(locked, cluster_id, view.topic_id, starts)

    return Register(settings.database.schema).bind(connection, sink, add_partitions)


def _introduce(connection: SinkConnection, schema: str, cluster: Cluster, partitions: Sequence[TopicPartition]) -> None:
    """Partitions added while the sink runs start at the log start, or their first events would be lost."""
    starts = cluster.log_starts(partitions)
    views = cluster.topics(sorted({partition.topic for partition in partitions}))
    for view in views.values():
        here = {address: start for address, start in starts.items() if address.topic == view.name}
        Ledger(schema).add(connection, cluster.cluster_id(), view.topic_id, here)


def _starts(
    cluster: Cluster, partitions: Sequence[TopicPartition], start: StartPoint | datetime
) -> dict[TopicPartition, int]:
    if not partitions:
        return {}
    match start:
        case StartPoint.FAIL:
            raise StartupError(
                f'{", ".join(map(str, partitions))} has no place in the ledger and [sink] start is "fail"; say where '
                "to start: earliest, latest, group or a time"
            )
        case StartPoint.LATEST:
            return cluster.stable_ends(partitions)
        case StartPoint.GROUP:
            return {**cluster.log_starts(partitions), **cluster.group_offsets(partitions)}
        case StartPoint.EARLIEST:
            return cluster.log_starts(partitions)
        case datetime():
            return cluster.offsets_at(partitions, start)


def _refuse_other_log(known: Sequence[KnownPartition], view: TopicView, cluster: Cluster) -> None:
    """Raises HaltError where the log is no longer the one that the ledger speaks of."""
    for each in known:
        if each.topic_id is not None and view.topic_id is not None and each.topic_id != view.topic_id:
            raise HaltError(
                f"topic {view.name} was deleted and made again: the ledger knows it as {each.topic_id}, the cluster as "
                f"{view.topic_id}; decide with `inbox resume --topic {view.name} --new-topic`"
            )
    addresses = [each.address for each in known]
    starts, ends = cluster.log_starts(addresses), cluster.stable_ends(addresses)
    for each in known:
        start, end = starts[each.address], ends[each.address]
        if not start <= each.next_offset <= end:
            raise HaltError(
                f"the ledger expects {each.address}@{each.next_offset} next, but the log holds offsets {start} up to "
                f"{end}; decide with `inbox resume --topic {each.address.topic}:{each.address.partition}`"
            )


def patiently(action: Callable[[], Found], timeout_seconds: float, stop: threading.Event, jitter: float = 0.5) -> Found:
    """What `action` returns, as soon as it does not raise TryAgainError.

    Raises:
        TryAgainError: it still does after the time, or `stop` was set.
    """
    deadline, failures = monotonic() + timeout_seconds, 0
    while True:
        try:
            return action()
        except TryAgainError as error:
            failures += 1
            pause = backoff(failures, jitter)
            if monotonic() + pause > deadline or stop.wait(pause):
                raise TryAgainError(f"{error}; gave up after {timeout_seconds:g} s") from error
            if failures == 1:
                log().warning("waiting", reason=str(error))


@contextmanager
def _closing(connection: SinkConnection) -> Iterator[None]:
    try:
        yield
    finally:
        connection.close()
