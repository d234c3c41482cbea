"""The relay of an outbox that is a table of the user's: put together, and looked at before it starts."""

from collections.abc import Callable

from inbox.app.clock import clock_of_sleepers
from inbox.errors import StartupError, TryAgainError
from inbox.kafka.producer import EventProducer
from inbox.relay.existing_term import ExistingTerm
from inbox.relay.lease import SECONDS, Lease
from inbox.relay.outgoing import Delivered
from inbox.settings import RelaySettings
from inbox.store.database import SinkConnection
from inbox.store.existing_outbox import ExistingLease, ExistingTable
from inbox.store.existing_shape import Shape, missing_rights, shape_of
from inbox.store.options import ExistingOutbox
from inbox.store.outbox_relay import Held
from inbox.store.rights import missing_lease_rights

MakeProducer = Callable[[Delivered], EventProducer]


class ExistingDesk:
    """A connection to the table, and all that works on it."""

    def __init__(
        self,
        connection: SinkConnection,
        settings: RelaySettings,
        existing: ExistingOutbox,
        holder: str,
        make_producer: MakeProducer,
    ) -> None:
        self._connection = connection
        self._make_producer = make_producer
        try:
            shape = _shape_now(connection, existing)
            self._table = ExistingTable(connection, shape, existing)
            self.lease = ExistingLease(connection, settings.database.schema, shape, existing, holder, seconds=SECONDS)
        except BaseException:
            connection.close()
            raise

    def term(self, lease: Lease, held: Held) -> ExistingTerm:
        return ExistingTerm(self._table, self.lease, lease, held.epoch, self._make_producer, clock_of_sleepers())

    def close(self) -> None:
        self._connection.close()


def existing_problems(connection: SinkConnection, schema: str, existing: ExistingOutbox, *, prunes: bool) -> list[str]:
    """One line for each right that a relay lacks.

    Raises:
        StartupError: the table does not fit what `[outbox]` says.
    """
    shape = shape_of(connection, existing)
    return [*missing_lease_rights(connection, schema), *missing_rights(connection, shape, prunes=prunes)]


def _shape_now(connection: SinkConnection, existing: ExistingOutbox) -> Shape:
    """A table that does not fit any more is an outage to a relay that runs: it may be mended meanwhile."""
    try:
        return shape_of(connection, existing)
    except StartupError as error:
        raise TryAgainError(str(error), away="database", reason="misfit", alert=True) from error
