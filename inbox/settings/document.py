"""The shape of `inbox.toml`: which keys there are and what each takes.

Every key may be absent here, and no key knows another. The command decides what is needed, and
`inbox.settings.rules` has the rules that join keys.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, SecretStr

from inbox.failure_policy import CopyFormat, FailureLimits, Order, RetriedKind, SameId
from inbox.reading.options import Envelope, Format, KeyFormat, Nul, Truncates
from inbox.relay.formats.options import OutboxFormat, SubjectNaming
from inbox.settings import syntax, units
from inbox.settings.database_url import database_url
from inbox.settings.problems import Path, UnfitError
from inbox.sink.routes import SinkOptions, StartPoint
from inbox.store.options import (
    Absent,
    Constant,
    DatabaseOptions,
    ExternalTableColumns,
    OutboxEnvelope,
    OutboxOptions,
    OutboxPayload,
    Overriding,
    Reading,
    RelayKind,
    TableMode,
    Tombstones,
    UnknownMembers,
)

MOST_DIGITS = 1000
"""The most digits on either side of the point that a precision of `numeric` declares."""


def _secret_url(value: object) -> SecretStr:
    return SecretStr(database_url(value))


def _property(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int):
        raise UnfitError("a text, a whole number, true or false, as librdkafka takes it")
    return str(value)


syntax.taking({"type": ["string", "integer", "boolean"]}, _property)

Topic = Annotated[str, PlainValidator(syntax.topic)]
Label = Annotated[str, PlainValidator(syntax.label)]
ColumnName = Annotated[str, PlainValidator(syntax.column_name)]


class Section(BaseModel):
    """A table of the file, in which an unknown key is an error.

    A validator is built when it is first needed: the whole file needs one, and not one for each of its tables.
    So the default of a section is constructed, not validated.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)


class SinkSection(Section):
    """The section `[sink]`."""

    name: Annotated[str, PlainValidator(syntax.sink_name)] | None = None
    start: Annotated[StartPoint | datetime, PlainValidator(units.start_point)] = StartPoint.EARLIEST
    batch_events: Annotated[int, PlainValidator(units.count(1, 100_000))] = SinkOptions.batch_events
    batch_bytes: Annotated[int, PlainValidator(units.size("1 KiB", "1 GiB"))] = SinkOptions.batch_bytes
    largest_event: Annotated[int, PlainValidator(units.size("1 KiB", "256 MiB"))] = SinkOptions.largest_event
    max_events_per_second: Annotated[int, PlainValidator(units.count(1, 10_000_000))] | None = None
    retired_routes: list[Label] = []
    once_compacted: list[Topic] = []


class DatabaseSection(Section):
    """The section `[database]`."""

    url: Annotated[SecretStr, PlainValidator(_secret_url)] | None = None
    schema_: Annotated[str, PlainValidator(syntax.schema_name)] = Field(DatabaseOptions.schema, alias="schema")
    start_timeout: Annotated[timedelta, PlainValidator(units.duration("0s", "1d"))] = timedelta(
        seconds=DatabaseOptions.start_timeout_seconds
    )
    takeover_timeout: Annotated[timedelta, PlainValidator(units.duration("0s", "1h"))] = timedelta(
        seconds=DatabaseOptions.takeover_timeout_seconds
    )
    statement_timeout: Annotated[timedelta, PlainValidator(units.duration("0s", "1d"))] | None = None


class CredentialsSection(Section):
    """The section `[credentials]`: names in the entry-point group `inbox.credentials`."""

    database: Label | None = None
    kafka: Label | None = None


class ColumnSection(Section):
    """A column in `[routes.table.columns]`; a text there stands for `from` alone."""

    from_: Annotated[str, PlainValidator(syntax.column_source)] | None = Field(None, alias="from")
    as_: Annotated[Reading, PlainValidator(syntax.one_of(Reading))] | None = Field(None, alias="as")
    scale: Annotated[int, PlainValidator(units.count(-MOST_DIGITS, MOST_DIGITS))] | None = None
    value: Annotated[Constant, PlainValidator(syntax.constant)] | None = None
    default: Annotated[Constant, PlainValidator(syntax.constant)] | None = None
    required: Annotated[bool, PlainValidator(syntax.boolean)] = False
    absent: Annotated[Absent, PlainValidator(syntax.one_of(Absent))] = Absent.NULL
    skip: Annotated[bool, PlainValidator(syntax.boolean)] = False


def _column(value: object) -> object:
    if isinstance(value, dict):
        return value
    return {"from": syntax.column_source(value)}


class TableSection(Section):
    """The section `[routes.table]`."""

    name: Annotated[str, PlainValidator(syntax.table_name)] | None = None
    mode: Annotated[TableMode, PlainValidator(syntax.one_of(TableMode))] | None = None
    key: list[ColumnName] | None = None
    version: ColumnName | None = None
    tombstones: Annotated[Tombstones, PlainValidator(syntax.one_of(Tombstones))] = Tombstones.ERROR
    deleted: ColumnName | None = None
    overriding: Annotated[Overriding, PlainValidator(syntax.one_of(Overriding))] | None = None
    nul: Annotated[Nul, PlainValidator(syntax.one_of(Nul))] = Nul.REFUSE
    for_each: Annotated[str, PlainValidator(syntax.pointer)] | None = None
    replaces: list[ColumnName] | None = None
    columns_by_name: Annotated[bool, PlainValidator(syntax.boolean)] = False
    unknown_members: Annotated[UnknownMembers, PlainValidator(syntax.one_of(UnknownMembers))] = UnknownMembers.IGNORE
    columns: (
        dict[ColumnName, Annotated[ColumnSection, BeforeValidator(_column, json_schema_input_type=str | ColumnSection)]]
        | None
    ) = None


class RouteSection(Section):
    """A section `[[routes]]`."""

    name: Label | None = None
    topic: Topic | None = None
    topics: list[Topic] | None = None
    types: list[Label] | None = None
    event_id: Annotated[str, PlainValidator(syntax.event_id)] = "auto"
    event_type: Annotated[str, PlainValidator(syntax.event_type)] | None = None
    format: Annotated[Format, PlainValidator(syntax.one_of(Format))] = Format.JSON
    envelope: Annotated[Envelope, PlainValidator(syntax.one_of(Envelope))] = Envelope.NONE
    truncates: Annotated[Truncates, PlainValidator(syntax.one_of(Truncates))] = Truncates.ERROR
    key_format: Annotated[KeyFormat, PlainValidator(syntax.one_of(KeyFormat))] = KeyFormat.TEXT
    message: Label | None = None
    schema_file: Label | None = None
    validate_: Annotated[bool, PlainValidator(syntax.boolean)] | None = Field(None, alias="validate")
    when: Annotated[str, PlainValidator(syntax.condition)] | None = None
    handler: Label | None = None
    table: TableSection | None = None

    @property
    def known_as(self) -> str | None:
        """Return the route's name, or else the one that its handler or table lends it."""
        return self.name or self.handler or (self.table.name if self.table else None)

    @property
    def tombstones(self) -> Tombstones:
        """Return what becomes of deletes: in Debezium's envelope a mode that can delete does so by itself."""
        if self.table is None:
            return Tombstones.ERROR
        cannot = (None, TableMode.APPEND, TableMode.NEWEST)
        by_itself = self.envelope is Envelope.DEBEZIUM and self.table.mode not in cannot
        if self.table.for_each is not None and not self.table.replaces:
            by_itself = False  # a delete names none of the rows of its elements
        if by_itself and "tombstones" not in self.table.model_fields_set:
            return Tombstones.DELETE
        return self.table.tombstones


class FailuresSection(Section):
    """The section `[failures]`."""

    attempts: Annotated[int, PlainValidator(units.count(1, 100))] = FailureLimits.attempts
    handler_timeout: Annotated[timedelta, PlainValidator(units.duration("1s", "1h"))] = FailureLimits.handler_timeout
    order: Annotated[Order, PlainValidator(syntax.one_of(Order))] = FailureLimits.order
    halt_above: Annotated[int, PlainValidator(units.count(1))] = FailureLimits.halt_above
    wait_for_rows: Annotated[timedelta, PlainValidator(units.duration("0s", "1h"))] = FailureLimits.wait_for_rows
    same_id_other_payload: Annotated[SameId, PlainValidator(syntax.one_of(SameId))] = (
        FailureLimits.same_id_other_payload
    )
    copy_to: Topic | None = None
    copy_format: Annotated[CopyFormat, PlainValidator(syntax.one_of(CopyFormat))] = FailureLimits.copy_format
    retry_after: list[Annotated[timedelta, PlainValidator(units.duration("1s", "30d"))]] = []
    retry_on: list[Annotated[RetriedKind, PlainValidator(syntax.one_of(RetriedKind))]] = list(FailureLimits.retry_on)


class RetentionSection(Section):
    """The section `[retention]`."""

    claims: Annotated[timedelta, PlainValidator(units.duration("1s", "36500d"))] = timedelta(days=30)
    progress: Annotated[timedelta, PlainValidator(units.duration("1h", "36500d"))] = timedelta(days=90)
    dead_letters: Annotated[timedelta, PlainValidator(units.duration("1s", "36500d"))] = timedelta(days=90)
    dead_letter_payloads: Annotated[timedelta, PlainValidator(units.duration("1s", "36500d"))] | None = None
    outbox: Annotated[timedelta, PlainValidator(units.duration("1s", "36500d"))] | None = None


class HttpSection(Section):
    """The section `[http]`."""

    listen: Annotated[tuple[str, int], PlainValidator(units.address)] | None = None


class OutboxColumnsSection(Section):
    """The section `[outbox.columns]`."""

    event_id: ColumnName = ExternalTableColumns.event_id
    type: ColumnName = ExternalTableColumns.type
    payload: ColumnName = ExternalTableColumns.payload
    status: ColumnName = ExternalTableColumns.status
    created_at: ColumnName = ExternalTableColumns.created_at
    topic: ColumnName | None = None
    aggregate_id: ColumnName | None = None
    traceparent: ColumnName | None = None
    sent_at: ColumnName | None = None


class OutboxSection(Section):
    """The section `[outbox]`."""

    payload: Annotated[OutboxPayload, PlainValidator(syntax.one_of(OutboxPayload))] = OutboxPayload.JSON
    relay: Annotated[RelayKind, PlainValidator(syntax.one_of(RelayKind))] = RelayKind.INBOX
    transactional_id: Label = OutboxOptions.transactional_id
    envelope: Annotated[OutboxEnvelope, PlainValidator(syntax.one_of(OutboxEnvelope))] = OutboxOptions.envelope
    source: Label = OutboxOptions.source
    format: Annotated[OutboxFormat, PlainValidator(syntax.one_of(OutboxFormat))] = OutboxFormat.JSON
    subject: Annotated[SubjectNaming, PlainValidator(syntax.one_of(SubjectNaming))] = SubjectNaming.TOPIC
    register_: Annotated[bool, PlainValidator(syntax.flag)] = Field(False, alias="register")
    schemas: dict[Label, Label] | None = None
    table: Annotated[str, PlainValidator(syntax.table_name)] | None = None
    topic: Topic | None = None
    columns: OutboxColumnsSection | None = None


class Document(Section):
    """The whole file, with what the other sources put over it."""

    sink: SinkSection = SinkSection.model_construct()
    database: DatabaseSection = DatabaseSection.model_construct()
    kafka: dict[str, Annotated[str, PlainValidator(_property)]] = Field({}, repr=False)
    registry: dict[str, Annotated[str, PlainValidator(_property)]] = Field({}, repr=False)
    credentials: CredentialsSection = CredentialsSection.model_construct()
    routes: list[RouteSection] = []
    failures: FailuresSection = FailuresSection.model_construct()
    retention: RetentionSection = RetentionSection.model_construct()
    http: HttpSection | None = None
    outbox: OutboxSection | None = None


def keys_at(path: Path) -> tuple[str, ...]:
    """Return the keys that may stand in the table at this path, or none if the user chooses the names."""
    at: object = Document
    for part in path:
        if isinstance(part, str):
            at = _under(at, part)
    if _first(at, lambda each: get_origin(each) is dict) is not None:
        return ()
    model = _first(at, _is_section)
    return _keys(model) if model else ()


def scalar_paths() -> tuple[tuple[str, str], ...]:
    """Return the path of every setting that is one value at a fixed path.

    A variable or a secret file can hold such a setting.
    """
    sections = [name for name in _keys(Document) if name not in {"kafka", "registry", "routes"}]
    return tuple(
        (section, key) for section in sections for key in keys_at((section,)) if (section, key) not in FILE_ONLY
    )


FILE_ONLY = frozenset(
    {("sink", "retired_routes"), ("sink", "once_compacted"), ("outbox", "columns"), ("outbox", "schemas")}
)
"""The settings that are lists or tables, and so are read from the file alone."""


def _keys(model: type[Section]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


def _under(at: object, key: str) -> object:
    """Return the type of what stands under a key: of a section, or of a table in which the user chooses the names."""
    if isinstance(at, type) and issubclass(at, Section):
        return next((f.annotation for name, f in at.model_fields.items() if key == (f.alias or name)), None)
    named = _first(at, lambda each: get_origin(each) is dict)
    if named is not None:
        return _first(get_args(named)[1], _is_section)
    found = _first(at, _is_section)
    return None if found is None else _under(found, key)


def _is_section(annotation: object) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Section)


def _first(annotation: object, wanted: Callable[[object], bool]) -> Any:
    """Return the first type within an annotation that is wanted."""
    if wanted(annotation):
        return annotation
    inner = (_first(each, wanted) for each in get_args(annotation))
    return next((found for found in inner if found is not None), None)
