"""The loop of a relay: a standby until it has the lease, then the active one for a term, until it loses it or stops.

Whatever fails ends the term: what was queued is forgotten, and the next term begins with the first row that is not
recorded as sent. So a failure repeats events under the ids that they had, and loses none.
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
from inbox.relay.lease import TRY_EVERY_SECONDS, Lease
from inbox.store.outbox.relay_queries import Held
from inbox.telemetry import OUTBOX_PENDING, Outage, log

_LOOK_SECONDS = 0.05


class Term(Protocol):
    """One term of the active relay, whatever the shape of the outbox; all of it may raise TryAgainError."""

    @property
    def has_sent(self) -> bool: ...
    def turn(self) -> bool: ...
    def rest(self) -> None: ...
    def sweep_all(self) -> bool: ...
    def end(self, *, in_order: bool) -> None: ...


class LeaseRow(Protocol):
    """What says in the database which relay is the active one."""

    def take(self) -> Held | None: ...


class Desk(Protocol):
    """A connection to the outbox."""

    @property
    def lease(self) -> LeaseRow: ...
    def term(self, lease: Lease, held: Held) -> Term: ...
    def close(self) -> None: ...


@dataclass
class RelayProgress:
    """What a probe wants to see. `joined`: active, or a standby; `last_turn` by the relay's clock."""

    joined: bool = False
    active: bool = False
    waiting_for: str | None = None
    last_turn: float | None = None


class Relay:
    """One relay; any number may run for one outbox. `until_empty`: it ends once every visible row was sent."""

    def __init__(
        self,
        open_desk: Callable[[], Desk],
        *,
        until_empty: bool,
        clock: Callable[[], float],
    ) -> None:
        self._open_desk = open_desk
        self._until_empty = until_empty
        self._clock = clock
        self._lease = Lease()
        self._outage = Outage()
        self._failures = 0
        self._waiting_for_kafka = False
        self._active_epoch: int | None = None
        self._stopped = False
        self.progress = RelayProgress()

    def stop(self) -> None:
        """From a signal handler or another thread: end in order."""
        self._stopped = True

    def run(self) -> None:
        """Until it is stopped, or the outbox is empty where that was asked for.

        Raises:
            StartupError, HaltError: continuing makes no sense.
        """
        try:
            while not (self._stopped or self._serve_or_wait()):
                pass
        finally:
            self._outage.close()

    def _serve_or_wait(self) -> bool:
        """Serve at one connection, and wait a while where that fails; return whether the outbox was found empty."""
        self.progress.last_turn = time.monotonic()
        try:
            return self._serve()
        except TryAgainError as error:
            self._wait_out(error)
            return False

    def _serve(self) -> bool:
        """At one connection, until it breaks or the relay is stopped; whether the outbox was found empty."""
        desk = self._open_desk()
        try:
            while not self._stopped:
                self.progress.last_turn = time.monotonic()
                held = self._apply(desk)
                self.progress.joined = True
                if held is None:
                    self._stand_by()
                elif self._hold_office(desk, held):
                    return True
            return False
        finally:
            with suppress(InboxError):
                desk.close()

    def _apply(self, desk: Desk) -> Held | None:
        asked_at = self._clock()
        held = desk.lease.take()
        if held is not None:
            self._lease.taken(held.epoch, asked_at)
        return held

    def _hold_office(self, desk: Desk, held: Held) -> bool:
        """One term; whether it ended because the outbox is empty."""
        term = desk.term(self._lease, held)
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
            # What waits behind a row that cannot be sent is still told: it is what an alert looks at.
            self.progress.active = False
            term.end(in_order=self._stopped or self._until_empty)

    def _note_active(self, held: Held) -> None:
        """A term after one that failed is told only if another relay was active in between."""
        if self._active_epoch is None or held.epoch != self._active_epoch + 1:
            log().info("relay-active", epoch=held.epoch, from_position=held.sent_below + 1)
        self._active_epoch = held.epoch

    def _nothing_is_held(self, term: Term) -> bool:
        """Return whether no row waits for what failed; an idle turn after an outage of Kafka may not have seen all."""
        return not self._waiting_for_kafka or term.sweep_all()

    def _stand_by(self) -> None:
        """Another relay is active: what this one failed at is the other's to send, and to tell."""
        self._active_epoch, self._failures, self._waiting_for_kafka = None, 0, False
        self._outage.given_up()
        self.progress.waiting_for = None
        OUTBOX_PENDING.set(math.nan)
        self._pause(TRY_EVERY_SECONDS)

    def _went_well(self) -> None:
        self._failures, self._waiting_for_kafka = 0, False
        self._outage.over()
        self.progress.waiting_for = None

    def _wait_out(self, error: TryAgainError) -> None:
        self._failures += 1
        self._waiting_for_kafka = error.away == "kafka"
        self._outage.seen(error)
        self.progress.waiting_for = str(error)
        self._pause(backoff(self._failures, random.random()))  # noqa: S311 - jitter

    def _pause(self, seconds: float) -> None:
        deadline = self._clock() + seconds
        while not self._stopped and self._clock() < deadline:
            time.sleep(_LOOK_SECONDS)
