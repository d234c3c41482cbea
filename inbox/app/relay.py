"""From settings to a relay that is ready to run."""

import secrets
import socket
import sys
import time
from collections.abc import Callable
from contextlib import closing
from os import getpid

from inbox.app.waiting import StopSignal, patiently, unless_stopped
from inbox.errors import StartupError, TryAgainError
from inbox.kafka.cluster import Cluster
from inbox.kafka.producer import EventProducer, TransactionalProducer
from inbox.relay.lease import SECONDS, Lease
from inbox.relay.relay import Relay
from inbox.relay.term import Delivered, Term
from inbox.settings import RelaySettings
from inbox.store.database import SinkConnection, connect, starting
from inbox.store.migrations import require_outbox
from inbox.store.options import RelayKind
from inbox.store.outbox_relay import Bell, Held, LeaseRow, OutboxTable
from inbox.store.rights import missing_relay_rights

MakeProducer = Callable[[Delivered], EventProducer]


def prepare_relay(settings: RelaySettings, stop: StopSignal) -> bool:
    """Find what a relay needs; False when `stop` was set before.

    Raises:
        StartupError: something is missing or wrong; waiting would not mend it.
        TryAgainError: the database or the brokers did not answer within `[database] start_timeout`.
    """
    if settings.outbox.relay is not RelayKind.INBOX:
        raise StartupError(
            '[outbox] relay is "debezium", so `inbox relay` would send every event a second time; '
            'set it to "inbox", or run the connector alone'
        )
    seconds = settings.database.start_timeout_seconds
    found = unless_stopped(lambda: patiently(lambda: _find(settings), seconds, stop), stop)
    return found is not None


def make_relay(settings: RelaySettings, *, until_empty: bool, transactional: bool = False) -> Relay:
    holder = f"{socket.gethostname()}:{getpid()}:{secrets.token_hex(8)}"
    producer = _producer_maker(settings, transactional=transactional)
    return Relay(lambda: RelayDesk(settings, holder, producer), until_empty=until_empty, clock=clock_of_sleepers())


class RelayDesk:
    """A connection to the outbox, and all that works on it."""

    def __init__(self, settings: RelaySettings, holder: str, make_producer: MakeProducer) -> None:
        schema = settings.database.schema
        self._connection = _connected(settings)
        try:
            self._table = OutboxTable(self._connection, schema)
            self._bell = Bell(self._connection, schema)
            self.lease = LeaseRow(self._connection, schema, holder, seconds=SECONDS)
        except BaseException:
            self._connection.close()
            raise
        self._make_producer = make_producer

    def term(self, lease: Lease, held: Held) -> Term:
        return Term(self._table, self.lease, self._bell, lease, held, self._make_producer, clock_of_sleepers())

    def close(self) -> None:
        self._connection.close()


def _producer_maker(settings: RelaySettings, *, transactional: bool) -> MakeProducer:
    kafka, transactional_id = settings.kafka, settings.outbox.transactional_id
    if transactional:
        return lambda delivered: TransactionalProducer(kafka, transactional_id, delivered)
    return lambda delivered: EventProducer(kafka, delivered)


def clock_of_sleepers() -> Callable[[], float]:
    """A clock that goes on while the machine is suspended, where there is one."""
    if sys.platform == "linux":
        return lambda: time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic


def _find(settings: RelaySettings) -> bool:
    connection = connect(settings.database, application_name="inbox relay")
    with closing(connection), starting("preparing the database"):
        require_outbox(connection, settings.database.schema, settings.outbox)
        if problems := missing_relay_rights(connection, settings.database.schema):
            raise StartupError("\n".join(problems))
        Cluster(settings.kafka).cluster_id()
    return True


def _connected(settings: RelaySettings) -> SinkConnection:
    try:
        return connect(settings.database, application_name="inbox relay")
    except StartupError as error:
        raise TryAgainError(str(error), away="database", reason="login", alert=True) from error
