"""The result of the configuration: the parts from which the rest of the program is built."""

from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TypeVar

from inbox.documents import pointer_steps
from inbox.failure_policy import FailureLimits
from inbox.kafka.options import GUARDED, PRODUCER_GUARDED, KafkaOptions
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.schemas import SchemaRegistry
from inbox.reading.conditions import members_in
from inbox.reading.options import Envelope, FormatOptions
from inbox.relay.formats.options import EncodingOptions
from inbox.settings.document import ColumnSection, Document, OutboxSection, RouteSection, TableSection
from inbox.settings.formats import encoding_options, format_options, registry_of, registry_options
from inbox.settings.librdkafka import canonical
from inbox.sink.routes import HandlerTarget, Route, SinkOptions
from inbox.store.options import (
    Absent,
    ColumnSource,
    DatabaseOptions,
    ExternalTableColumns,
    ExternalTableOptions,
    OutboxOptions,
    TableMode,
    TableTarget,
)

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class RetentionLimits:
    """The periods of `[retention]` for claims, history, resolved dead letters and events of the outbox.

    `outbox` is None if the outbox's events are kept for ever, `dead_letter_payloads` if they are kept
    as long as their dead letters.
    """

    claims: timedelta = timedelta(days=30)
    progress: timedelta = timedelta(days=90)
    dead_letters: timedelta = timedelta(days=90)
    dead_letter_payloads: timedelta | None = None
    outbox: timedelta | None = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class DatabaseSettings:
    """The settings of a command that works in the database alone. `outbox` is None if there is no `[outbox]`."""

    database: DatabaseOptions
    outbox: OutboxOptions | None
    retention: RetentionLimits


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """The settings of a command that looks at topics before there is a route.

    Attributes:
        database: None where the sources name no database.
        file: the configuration file, which need not exist.
    """

    database: DatabaseOptions | None
    kafka: KafkaOptions
    file: Path
    registry: RegistryOptions | None = None
    schemas: SchemaRegistry | None = field(default=None, repr=False, compare=False)


@dataclass(frozen=True, kw_only=True)
class RelaySettings:
    """The settings of the relay and of the connector.

    A relay is in no consumer group: `kafka.group_id` is what the configuration would give a sink,
    perhaps "".
    """

    database: DatabaseOptions
    kafka: KafkaOptions
    outbox: OutboxOptions
    http_listen: tuple[str, int] | None
    retention: RetentionLimits = RetentionLimits()
    encoding: EncodingOptions | None = None


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The whole configuration of a sink, checked. `http_listen` is (host, port), or None if nothing listens."""

    sink: SinkOptions
    database: DatabaseOptions
    kafka: KafkaOptions
    routes: tuple[Route, ...]
    failures: FailureLimits
    retention: RetentionLimits
    http_listen: tuple[str, int] | None
    outbox: OutboxOptions | None
    encoding: EncodingOptions | None = None
    registry: RegistryOptions | None = None
    schemas: SchemaRegistry | None = field(default=None, repr=False, compare=False)

    @property
    def needed_schemas(self) -> SchemaRegistry | None:
        """Return the registry if a route needs it."""
        return self.schemas if any(route.format.needs_registry for route in self.routes) else None


def database_settings(document: Document) -> DatabaseSettings:
    """Return the settings for commands on the database from a document without problems."""
    return DatabaseSettings(
        database=_database(document), outbox=_outbox(document.outbox), retention=_retention(document)
    )


def relay_settings(document: Document, cwd: Path) -> RelaySettings:
    """Return the relay's settings from a document without problems; schema files are read from below `cwd`."""
    return RelaySettings(
        database=_database(document),
        kafka=_kafka(document),
        outbox=_needed(_outbox(document.outbox)),
        http_listen=document.http.listen if document.http else None,
        retention=_retention(document),
        encoding=encoding_options(document, cwd),
    )


def server_settings(document: Document, file: Path) -> ServerSettings:
    """Return the settings of the servers from a document without problems."""
    registry = registry_options(document)
    return ServerSettings(
        database=None if document.database.url is None else _database(document),
        kafka=_kafka(document),
        file=file,
        registry=registry,
        schemas=registry_of(registry),
    )


def sink_settings(document: Document, cwd: Path) -> Settings:
    """Return the sink's settings from a document without problems; schema files are read from below `cwd`."""
    sink = document.sink
    registry = registry_options(document)
    schemas = registry_of(registry)
    return Settings(
        sink=SinkOptions(
            name=_needed(sink.name),
            start=sink.start,
            batch_events=sink.batch_events,
            batch_bytes=sink.batch_bytes,
            largest_event=sink.largest_event,
            max_events_per_second=sink.max_events_per_second,
            retired_routes=tuple(sink.retired_routes),
            once_compacted=tuple(sink.once_compacted),
        ),
        database=_database(document),
        kafka=_kafka(document),
        routes=tuple(_route(route, format_options(route, schemas, cwd)) for route in document.routes),
        failures=FailureLimits(**dict(document.failures)),
        retention=_retention(document),
        http_listen=document.http.listen if document.http else None,
        outbox=_outbox(document.outbox),
        encoding=encoding_options(document, cwd),
        registry=registry,
        schemas=schemas,
    )


def _database(document: Document) -> DatabaseOptions:
    section = document.database
    return DatabaseOptions(
        url=_needed(section.url),
        credential=document.credentials.database,
        schema=section.schema_,
        start_timeout_seconds=section.start_timeout.total_seconds(),
        takeover_timeout_seconds=section.takeover_timeout.total_seconds(),
        statement_timeout_seconds=None
        if section.statement_timeout is None
        else section.statement_timeout.total_seconds(),
    )


def _retention(document: Document) -> RetentionLimits:
    section = document.retention
    # Rows of an external table are deleted only if the user asked for it.
    is_theirs = document.outbox is not None and document.outbox.table is not None
    outbox = section.outbox or (None if is_theirs else RetentionLimits.outbox)
    return RetentionLimits(
        claims=section.claims,
        progress=section.progress,
        dead_letters=section.dead_letters,
        dead_letter_payloads=section.dead_letter_payloads,
        outbox=outbox,
    )


def _kafka(document: Document) -> KafkaOptions:
    given = document.kafka
    ours = {*GUARDED, *PRODUCER_GUARDED, "group.id"}
    free = {name: value for name, value in given.items() if canonical(name) not in ours}
    if "metadata.broker.list" in free:  # one name, under which all code finds the brokers
        free["bootstrap.servers"] = free.pop("metadata.broker.list")
    return KafkaOptions(
        group_id=given.get("group.id") or document.sink.name or "",
        properties=free,
        credential=document.credentials.kafka,
    )


def _outbox(section: OutboxSection | None) -> OutboxOptions | None:
    if section is None:
        return None
    return OutboxOptions(
        payload=section.payload,
        relay=section.relay,
        transactional_id=section.transactional_id,
        envelope=section.envelope,
        source=section.source,
        existing=_existing(section),
    )


def _existing(section: OutboxSection) -> ExternalTableOptions | None:
    if section.table is None:
        return None
    columns = ExternalTableColumns(**dict(section.columns or {}))
    return ExternalTableOptions(table=section.table, topic=section.topic, columns=columns)


def _route(section: RouteSection, options: FormatOptions) -> Route:
    types, typed = frozenset(section.types or ()), section.envelope is Envelope.CLOUDEVENTS
    return Route(
        name=_needed(section.known_as),
        topics=tuple(section.topics or [_needed(section.topic)]),
        target=_table(section, section.table) if section.table else HandlerTarget(entry_point=_needed(section.handler)),
        event_id=section.event_id,
        event_type=section.event_type or ("header:type" if types and not typed else None),
        types=types,
        when=section.when,
        envelope=section.envelope,
        truncates=section.truncates,
        format=options,
    )


def _table(route: RouteSection, section: TableSection) -> TableTarget:
    mode = _needed(section.mode)
    columns = (section.columns or {}) if section.columns_by_name else _needed(section.columns)
    return TableTarget(
        name=_needed(section.name),
        mode=mode,
        columns={name: _column(column) for name, column in columns.items() if not column.skip},
        by_name=section.columns_by_name,
        skipped=frozenset(name for name, column in columns.items() if column.skip),
        unknown_members=section.unknown_members,
        read_members=_read_members(route) if section.for_each is None else frozenset(),
        key=tuple(section.key or ()),
        version=section.version if mode is TableMode.NEWEST else None,
        tombstones=route.tombstones,
        deleted=section.deleted,
        overriding=section.overriding,
        for_each=section.for_each,
        replaces=tuple(section.replaces or ()),
        envelope=route.envelope,
        decoded=route.format.has_decoded_rows and section.for_each is None,
        binary=route.format.is_binary and section.for_each is None,
    )


def _read_members(route: RouteSection) -> frozenset[str]:
    """Return the members of the row from which the id, the type or the condition is read."""
    rules = (rule.removeprefix("value:") for rule in (route.event_id, route.event_type or "") if "value:/" in rule)
    return frozenset({*(pointer_steps(rule)[0] for rule in rules), *members_in(route.when or "")})


def _column(section: ColumnSection) -> ColumnSource:
    return ColumnSource(
        source=section.from_,
        reading=section.as_,
        scale=section.scale,
        value=section.value,
        default=section.default,
        required=section.required,
        leaves=section.absent is Absent.DEFAULT,
    )


def _needed(value: _T | None) -> _T:
    """Return a value whose presence the rules have made sure of."""
    if value is None:
        raise AssertionError("a needed setting is absent and no rule said so; this is a defect of inbox.settings")
    return value
