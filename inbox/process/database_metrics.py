"""The gauges that no batch updates, refreshed at intervals on a separate connection."""

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from inbox.errors import FailureKind, InboxError, StartupError
from inbox.store.inbox.dead_letters import OPEN, UNKNOWN_KIND
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.postgres.connection import Connection, connect, snapshot
from inbox.store.postgres.errors import translating_errors
from inbox.store.schema.compatibility import refuse_newer
from inbox.store.store import Store
from inbox.telemetry import DEAD_LETTERS, HORIZON_SECONDS, LAST_PRUNE, PARKED_BY_KIND

_EVERY_SECONDS = 15.0
_KINDS = (*(kind.value for kind in FailureKind), UNKNOWN_KIND)


class DatabaseMetrics:
    """The refresher of the database's gauges. It also notices a schema that this version can no longer use.

    `stop` is called then, so that the worker ends. `refuse_unusable_schema` says why.
    """

    def __init__(
        self,
        options: DatabaseOptions,
        outbox: OutboxOptions | None,
        stop: Callable[[], None],
        *,
        every_seconds: float = _EVERY_SECONDS,
    ) -> None:
        self._options = options
        self._outbox = outbox
        self._stop = stop
        self._every_seconds = every_seconds
        self._over = threading.Event()
        self._misfit: StartupError | None = None

    @contextmanager
    def refreshing(self) -> Iterator[None]:
        """Refresh the gauges on a thread at intervals while the context is entered."""
        threading.Thread(target=self._refresh_regularly, name="inbox-metrics", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()  # no join: the thread may be waiting for a server that does not answer

    def refuse_unusable_schema(self) -> None:
        """Raise StartupError if this version cannot use the schema any more."""
        if self._misfit is not None:
            raise self._misfit

    def _refresh_regularly(self) -> None:
        while True:
            # The worker meets an outage too, and reports it.
            with suppress(InboxError), closing(connect(self._options, application_name="inbox metrics")) as connection:
                self._look(connection)
            if self._over.wait(self._every_seconds):
                return

    def _look(self, connection: Connection) -> None:
        try:
            with translating_errors():
                refuse_newer(connection, self._options.schema, self._outbox)
        except StartupError as error:
            self._misfit = error
            self._stop()
            return
        with snapshot(connection):
            store = Store(connection, self._options.schema)
            found, kinds = store.dead_letters.count_by_state(), store.dead_letters.count_by_kind()
            HORIZON_SECONDS.set(store.horizons.age_seconds())
            last_round = store.retention.last_round()
            LAST_PRUNE.set(math.nan if last_round is None else last_round.at.timestamp())
        for state in OPEN:
            DEAD_LETTERS.labels(state.value).set(found.get(state, 0))
        for kind in _KINDS:
            PARKED_BY_KIND.labels(kind).set(kinds.get(kind, 0))
