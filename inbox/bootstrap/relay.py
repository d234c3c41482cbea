"""Make a relay from settings, of the inbox's own outbox or of an external table."""

import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from os import getpid

from inbox.bootstrap.retry import StopSignal, retry_until, run_until_stopped
from inbox.bootstrap.tracing.relay import TracedProducer
from inbox.bootstrap.tracing.spans import Spans
from inbox.errors import StartupError, refusals_as_outages
from inbox.kafka.cluster import Cluster
from inbox.kafka.producer import EventProducer, TransactionalProducer
from inbox.kafka.registry.client import RegistryAnswers
from inbox.kafka.registry.schemas import schema_registry
from inbox.kafka.registry.subjects import SubjectSchemas
from inbox.reading.formats.json_schema import require_jsonschema
from inbox.relay.cloud_events import CloudEventsProducer
from inbox.relay.external_table_term import ExternalTableTerm
from inbox.relay.formats.encoding import EncodingProducer, PayloadEncoder
from inbox.relay.formats.options import EncodingOptions, OutboxFormat
from inbox.relay.lease import SECONDS, Lease
from inbox.relay.producer import Delivered, Producer
from inbox.relay.relay import Relay, RelaySession
from inbox.relay.term import OutboxTerm
from inbox.settings import RelaySettings
from inbox.store.options import ExternalTableOptions, OutboxEnvelope, OutboxOptions, OutboxPayload, RelayKind
from inbox.store.outbox.external_table import ExternalTable, ExternalTableLease
from inbox.store.outbox.external_table_check import ExternalTableShape, external_shape_of, missing_rights
from inbox.store.outbox.relay_queries import LeaseRow, Notifier, OutboxTable, TakenLease
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.pooler import own_session
from inbox.store.privileges.check import OF_RELAY, missing_lease_rights, missing_relay_rights
from inbox.store.schema.compatibility import require_outbox
from inbox.store.tables.durability import losable_of_schema

_DOING = "the relay of the outbox, which is woken in it,"

MakeProducer = Callable[[Delivered], Producer]


def prepare_relay(settings: RelaySettings, stop: StopSignal) -> bool:
    """Find everything that a relay needs; return False if `stop` was set before.

    Raises:
        StartupError: something is missing or wrong; waiting would not fix it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
    """
    if settings.outbox.relay is not RelayKind.INBOX:
        raise StartupError(
            '[outbox] relay is "debezium", so `inbox relay` would send every event a second time; '
            'set it to "inbox", or run the connector alone'
        )
    seconds = settings.database.start_timeout_seconds
    found = run_until_stopped(lambda: retry_until(lambda: _find(settings), seconds, stop), stop)
    return found is not None


def make_relay(
    settings: RelaySettings, *, until_empty: bool, transactional: bool = False, spans: Spans | None = None
) -> Relay:
    """Return a relay, ready to run. With `spans` it records what it sends in them."""
    holder = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    producer = _producer_maker(settings, spans, transactional=transactional)
    existing = settings.outbox.existing
    open_session: Callable[[], RelaySession] = (
        (lambda: OutboxSession(settings, holder, producer))
        if existing is None
        else (lambda: ExternalTableSession(connected(settings), settings, existing, holder, producer))
    )
    return Relay(open_session, until_empty=until_empty, clock=boottime_clock())


class OutboxSession:
    """A pair of connections to the outbox, with all that works on them: rows are read while others are marked."""

    def __init__(self, settings: RelaySettings, holder: str, make_producer: MakeProducer) -> None:
        schema = settings.database.schema
        self._make_producer = make_producer
        with ExitStack() as opened:
            reading, marking = (opened.enter_context(closing(connected(settings, alone=True))) for _ in range(2))
            self._table = OutboxTable(reading, schema)
            self._notifier = Notifier(marking, schema)
            self.lease = LeaseRow(marking, schema, holder, seconds=SECONDS)
            self._connections = opened.pop_all()

    def term(self, lease: Lease, held: TakenLease) -> OutboxTerm:
        return OutboxTerm(self._table, self.lease, self._notifier, lease, held, self._make_producer, boottime_clock())

    def close(self) -> None:
        self._connections.close()


def _producer_maker(settings: RelaySettings, spans: Spans | None, *, transactional: bool) -> MakeProducer:
    kafka, outbox = settings.kafka, settings.outbox
    encoder = None if settings.encoding is None else payload_encoder(settings.encoding)

    def make(delivered: Delivered) -> Producer:
        producer = (
            TransactionalProducer(kafka, outbox.transactional_id, delivered)
            if transactional
            else EventProducer(kafka, delivered)
        )
        return producer if spans is None else TracedProducer(spans, producer)

    if encoder is not None:
        return lambda delivered: EncodingProducer(make(delivered), encoder)
    if outbox.envelope is OutboxEnvelope.NONE:
        return make
    return lambda delivered: CloudEventsProducer(make(delivered), outbox.source, _content_type(outbox))


def subject_schemas(options: EncodingOptions) -> SubjectSchemas:
    """Return the schemas of the registry, which is not asked yet."""
    return SubjectSchemas(
        lambda: RegistryAnswers(options.registry), options.format.kind, files=options.files, register=options.register
    )


def payload_encoder(options: EncodingOptions) -> PayloadEncoder:
    """Return the encoder of a relay. Raises StartupError if a package is missing."""
    if options.format is OutboxFormat.JSON_SCHEMA:
        require_jsonschema('[outbox] format = "json-schema"')
    return PayloadEncoder(options, subject_schemas(options))


def require_registry(options: EncodingOptions) -> None:
    """Raise StartupError if the address is not that of a registry, or TryAgainError if it does not answer."""
    schema_registry(options.registry).require()


def _content_type(outbox: OutboxOptions) -> str | None:
    """Return the content type of the payloads; None if any bytes may be there."""
    return "application/json" if outbox.existing is None and outbox.payload is OutboxPayload.JSON else None


def _find(settings: RelaySettings) -> bool:
    connection = connect(settings.database, application_name="inbox relay")
    with closing(connection), startup_errors("preparing the database"):
        if settings.outbox.existing is None:
            own_session(connection, _DOING)
        require_outbox(connection, settings.database.schema, settings.outbox)
        require_relay_rights(connection, settings)
        Cluster(settings.kafka).cluster_id()
        if settings.encoding is not None:
            payload_encoder(settings.encoding)
            require_registry(settings.encoding)
    return True


def require_relay_rights(connection: Connection, settings: RelaySettings) -> None:
    """Raise StartupError with one line for each right that is missing. An external table has to fit, too."""
    schema, existing = settings.database.schema, settings.outbox.existing
    if existing is None:
        problems = [*missing_relay_rights(connection, schema), *losable_of_schema(connection, schema, list(OF_RELAY))]
    else:
        problems = external_table_problems(connection, schema, existing, prunes=settings.retention.outbox is not None)
    if problems:
        raise StartupError("\n".join(problems))


def connected(settings: RelaySettings, *, alone: bool = False) -> Connection:
    """Connect for a running relay. A database that refuses the connection counts as an outage.

    `alone`: connect to a session that is shared with nobody.
    """
    with refusals_as_outages(away="database", reason="login"):
        connection = connect(settings.database, application_name="inbox relay")
        try:
            if alone:
                own_session(connection, _DOING)
        except BaseException:
            connection.close()
            raise
        return connection


class ExternalTableSession:
    """A connection to the external table, and all that works on it."""

    def __init__(
        self,
        connection: Connection,
        settings: RelaySettings,
        existing: ExternalTableOptions,
        holder: str,
        make_producer: MakeProducer,
    ) -> None:
        self._connection = connection
        self._make_producer = make_producer
        try:
            shape = _shape_now(connection, existing)
            self._table = ExternalTable(connection, shape, existing)
            self.lease = ExternalTableLease(
                connection, settings.database.schema, shape, existing, holder, seconds=SECONDS
            )
        except BaseException:
            connection.close()
            raise

    def term(self, lease: Lease, held: TakenLease) -> ExternalTableTerm:
        return ExternalTableTerm(self._table, self.lease, lease, held.epoch, self._make_producer, boottime_clock())

    def close(self) -> None:
        self._connection.close()


def external_table_problems(
    connection: Connection, schema: str, existing: ExternalTableOptions, *, prunes: bool
) -> list[str]:
    """Return one line for each right that a relay lacks.

    Raises:
        StartupError: the table does not fit what `[outbox]` says.
    """
    shape = external_shape_of(connection, existing)
    return [*missing_lease_rights(connection, schema), *missing_rights(connection, shape, prunes=prunes)]


def _shape_now(connection: Connection, existing: ExternalTableOptions) -> ExternalTableShape:
    """Return the table's shape as it is now.

    A table that no longer fits is an outage to a running relay: it may be fixed in the meantime.
    """
    with refusals_as_outages(away="database", reason="misfit"):
        return external_shape_of(connection, existing)


def boottime_clock() -> Callable[[], float]:
    """Return a clock that continues while the machine is suspended, if the system has one."""
    if sys.platform == "linux":
        return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic
