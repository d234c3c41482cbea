"""The loop of a relay: a standby until it has the lease, then active for a term, until it loses the lease or stops.

Any failure ends the term: the queued messages are dropped, and the next term begins with the first row that is
not recorded as sent. So a failure repeats events under the ids that they had, and loses none.
"""

import math
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from inbox.backoff import backoff
from inbox.errors import InboxError, TryAgainError
from inbox.log_lines import log
from inbox.relay.lease import TRY_EVERY_SECONDS, Lease
from inbox.store.outbox.relay_queries import TakenLease
from inbox.telemetry import OUTBOX_PENDING, Outage

_LOOK_SECONDS = 0.05


class RelayTerm(Protocol):
    """A term of the active relay, for any shape of the outbox; any method may raise TryAgainError."""

    @property
    def has_sent(self) -> bool: ...
    def turn(self) -> bool: ...
    def rest(self) -> None: ...
    def sweep_all(self) -> bool: ...
    def end(self, *, in_order: bool) -> None: ...


class AcquirableLease(Protocol):
    """The row in the database that says which relay is active."""

    def take(self) -> TakenLease | None: ...


class RelaySession(Protocol):
    """A connection to the outbox."""

    @property
    def lease(self) -> AcquirableLease: ...
    def term(self, lease: Lease, held: TakenLease) -> RelayTerm: ...
    def close(self) -> None: ...


@dataclass
class RelayProgress:
    """The state that a probe reads. `joined`: active, or a standby; `last_turn` by the monotonic clock, in seconds."""

    joined: bool = False
    active: bool = False
    waiting_for: str | None = None
    last_turn: float | None = None


class Relay:
    """A relay; any number may run for one outbox. `until_empty`: it ends once every visible row was sent."""

    def __init__(
        self,
        open_session: Callable[[], RelaySession],
        *,
        until_empty: bool,
        clock: Callable[[], float],
    ) -> None:
        self._open_session = open_session
        self._until_empty = until_empty
        self._clock = clock
        self._lease = Lease()
        self._outage = Outage()
        self._failures = 0
        self._holds_rows = False
        self._active_epoch: int | None = None
        self._stopped = False
        self.progress = RelayProgress()

    def stop(self) -> None:
        """End in order; called from a signal handler or another thread."""
        self._stopped = True

    def run(self) -> None:
        """Run until the relay is stopped, or with `until_empty` until the outbox is empty.

        Raises:
            StartupError, HaltError: continuing makes no sense.
        """
        try:
            while not (self._stopped or self._serve_or_wait()):
                pass
        finally:
            self._outage.close()

    def _serve_or_wait(self) -> bool:
        """Serve on one connection, and wait a while if that fails; return whether the outbox was found empty."""
        self.progress.last_turn = time.monotonic()
        try:
            return self._serve()
        except TryAgainError as error:
            self._wait_out(error)
            return False

    def _serve(self) -> bool:
        """Serve on one connection until it breaks or the relay stops; return whether the outbox was found empty."""
        session = self._open_session()
        try:
            while not self._stopped:
                self.progress.last_turn = time.monotonic()
                held = self._try_acquire_lease(session)
                self.progress.joined = True
                if held is None:
                    self._stand_by()
                elif self._lead(session, held):
                    return True
            return False
        finally:
            with suppress(InboxError):
                session.close()

    def _try_acquire_lease(self, session: RelaySession) -> TakenLease | None:
        asked_at = self._clock()
        held = session.lease.take()
        if held is not None:
            self._lease.taken(held.epoch, asked_at)
        return held

    def _lead(self, session: RelaySession, held: TakenLease) -> bool:
        """Serve one term; return whether it ended because the outbox is empty."""
        term = session.term(self._lease, held)
        self.progress.active = True
        self._note_active(held)
        try:
            while not self._stopped and self._lease.epoch is not None:
                self.progress.last_turn = time.monotonic()
                busy = term.turn()
                if term.has_sent or (not busy and self._nothing_is_held(term)):
                    self._went_well()
                if not busy and self._until_empty and term.sweep_all():
                    return True
                if not busy:
                    term.rest()
            if self._lease.epoch is None:
                self._active_epoch = None
                log().warning("relay-replaced", epoch=held.epoch)
            OUTBOX_PENDING.set(math.nan)
            return False
        finally:
            # The count of rows behind one that cannot be sent is kept: an alert looks at it.
            self.progress.active = False
            term.end(in_order=self._stopped or self._until_empty)

    def _note_active(self, held: TakenLease) -> None:
        """Log that this relay is active; after a failed term only if another relay was active in between."""
        if self._active_epoch is None or held.epoch != self._active_epoch + 1:
            log().info("relay-active", epoch=held.epoch, from_position=held.sent_below + 1)
        self._active_epoch = held.epoch

    def _nothing_is_held(self, term: RelayTerm) -> bool:
        """Return whether no row waits for what failed.

        An idle turn after an outage of Kafka or the registry may not have seen all rows, so all are swept then.
        """
        return not self._holds_rows or term.sweep_all()

    def _stand_by(self) -> None:
        """Stand by while another relay is active: it now sends, and reports, what failed here."""
        self._active_epoch, self._failures, self._holds_rows = None, 0, False
        self._outage.given_up()
        self.progress.waiting_for = None
        OUTBOX_PENDING.set(math.nan)
        self._pause(TRY_EVERY_SECONDS)

    def _went_well(self) -> None:
        self._failures, self._holds_rows = 0, False
        self._outage.over()
        self.progress.waiting_for = None

    def _wait_out(self, error: TryAgainError) -> None:
        self._failures += 1
        self._holds_rows = error.away in ("kafka", "registry")
        self._outage.seen(error)
        self.progress.waiting_for = str(error)
        self._pause(backoff(self._failures, random.random()))  # noqa: S311 - jitter

    def _pause(self, seconds: float) -> None:
        deadline = self._clock() + seconds
        while not self._stopped and self._clock() < deadline:
            time.sleep(_LOOK_SECONDS)
