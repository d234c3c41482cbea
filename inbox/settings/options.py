"""What the configuration comes to: the parts that the rest of the program is built from."""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from inbox.kafka.options import GUARDED, PRODUCER_GUARDED, KafkaOptions
from inbox.policy import FailureLimits
from inbox.settings.document import Document, OutboxSection, RouteSection, TableSection
from inbox.settings.properties import canonical
from inbox.sink.routes import HandlerTarget, Route, SinkOptions
from inbox.store.options import DatabaseOptions, OutboxOptions, TableMode, TableTarget

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class RetentionLimits:
    """`[retention]`: how long claims, history and resolved dead letters are kept."""

    claims: timedelta = timedelta(days=30)
    progress: timedelta = timedelta(days=90)
    dead_letters: timedelta = timedelta(days=90)


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """What a command needs that works in the database alone; `outbox` is None where there is no `[outbox]`."""

    database: DatabaseOptions
    outbox: OutboxOptions | None
    retention: RetentionLimits


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """What the relay and the connector need.

    A relay is in no consumer group: `kafka.group_id` is what the configuration would give a sink, perhaps "".
    """

    database: DatabaseOptions
    kafka: KafkaOptions
    outbox: OutboxOptions
    http_listen: tuple[str, int] | None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration of a sink, checked. `http_listen` is (host, port), None where nothing listens."""

    sink: SinkOptions
    database: DatabaseOptions
    kafka: KafkaOptions
    routes: tuple[Route, ...]
    failures: FailureLimits
    retention: RetentionLimits
    http_listen: tuple[str, int] | None
    outbox: OutboxOptions | None


def database_settings(document: Document) -> DatabaseSettings:
    """The part for commands on the database, of a document without problems."""
    return DatabaseSettings(
        database=_database(document), outbox=_outbox(document.outbox), retention=_retention(document)
    )


def relay_settings(document: Document) -> RelaySettings:
    """The part for the relay, of a document without problems."""
    return RelaySettings(
        database=_database(document),
        kafka=_kafka(document),
        outbox=_needed(_outbox(document.outbox)),
        http_listen=document.http.listen if document.http else None,
    )


def sink_settings(document: Document) -> Settings:
    """All of it, of a document without problems."""
    sink = document.sink
    return Settings(
        sink=SinkOptions(
            name=_needed(sink.name),
            start=sink.start,
            batch_events=sink.batch_events,
            batch_bytes=sink.batch_bytes,
            retired_routes=tuple(sink.retired_routes),
        ),
        database=_database(document),
        kafka=_kafka(document),
        routes=tuple(_route(route) for route in document.routes),
        failures=FailureLimits(**dict(document.failures)),
        retention=_retention(document),
        http_listen=document.http.listen if document.http else None,
        outbox=_outbox(document.outbox),
    )


def _database(document: Document) -> DatabaseOptions:
    section = document.database
    return DatabaseOptions(
        url=_needed(section.url),
        schema=section.schema_,
        start_timeout_seconds=section.start_timeout.total_seconds(),
        takeover_timeout_seconds=section.takeover_timeout.total_seconds(),
    )


def _retention(document: Document) -> RetentionLimits:
    return RetentionLimits(**dict(document.retention))


def _kafka(document: Document) -> KafkaOptions:
    given = document.kafka
    ours = {*GUARDED, *PRODUCER_GUARDED, "group.id"}
    free = {name: value for name, value in given.items() if canonical(name) not in ours}
    if "metadata.broker.list" in free:  # one name for it, so that whoever looks for the brokers finds them
        free["bootstrap.servers"] = free.pop("metadata.broker.list")
    return KafkaOptions(group_id=given.get("group.id") or document.sink.name or "", properties=free)


def _outbox(section: OutboxSection | None) -> OutboxOptions | None:
    return OutboxOptions(**dict(section)) if section else None


def _route(section: RouteSection) -> Route:
    types = frozenset(section.types or ())
    return Route(
        name=_needed(section.known_as),
        topics=tuple(section.topics or [_needed(section.topic)]),
        target=_table(section.table) if section.table else HandlerTarget(entry_point=_needed(section.handler)),
        event_id=section.event_id,
        event_type=section.event_type or ("header:type" if types else None),
        types=types,
        format=section.format.value,
    )


def _table(section: TableSection) -> TableTarget:
    mode = _needed(section.mode)
    return TableTarget(
        name=_needed(section.name),
        mode=mode,
        columns=_needed(section.columns),
        key=tuple(section.key or ()),
        version=section.version if mode is TableMode.NEWEST else None,
        tombstones=section.tombstones,
    )


def _needed(value: _T | None) -> _T:
    """A value that the rules have made sure of."""
    if value is None:
        raise AssertionError("a needed setting is absent and no rule said so; this is a defect of inbox.settings")
    return value
