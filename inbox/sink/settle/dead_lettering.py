"""Decide which events of a route are set aside: refused ones, and those behind a parked event of their key."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from random import random

from inbox.errors import EventError, FailureKind, OrderHaltError
from inbox.events import address_of
from inbox.failpoints import Failpoint, failpoint
from inbox.failure_policy import FailureLimits, Order, retry_delay
from inbox.log_lines import log
from inbox.sink.batch import NO_ID, RouteBatch
from inbox.sink.guards.parked_by_hand import ParkedByHandError
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.parked_keys import HeldKeys
from inbox.store.inbox.dead_letters import DeadLetter, DeadLetters, State, held_key
from inbox.store.inbox.failures.error_texts import shown
from inbox.store.outbox.dead_letter_copies import LetterCopies


class DeadLettering:
    """The knowledge about events before they are tried. `refused` has the errors of refused events by index."""

    def __init__(self, attempts: SettleContext, route: BoundRoute, events: RouteBatch, held: HeldKeys) -> None:
        self._context = attempts
        self._route = route
        self._events = events
        self.refused: dict[int, BaseException] = dict(events.refused)
        self._held = held
        self._newly_held: dict[int, dict[bytes, int]] = {}

    def any_of(self, indexes: Sequence[int]) -> bool:
        """Return whether one of these is set aside.

        It must be fast, because every event passes here while any key is parked.
        """
        if self.refused and any(index in self.refused for index in indexes):
            return True
        if not self._held and not self._newly_held:
            return False
        records, partition_ids, held, newly_held = (
            self._events.records,
            self._events.partition_ids,
            self._held,
            self._newly_held,
        )
        for index in indexes:
            partition_id = partition_ids[index]
            if partition_id not in held and partition_id not in newly_held:
                continue
            if (key := records[index].key()) is not None and self._held_since(partition_id, held_key(key)) is not None:
                return True
        return False

    def _held_since(self, partition_id: int, key: bytes) -> int | None:
        for held in (self._held, self._newly_held):
            if (keys := held.get(partition_id)) is not None and (since := keys.get(key)) is not None:
                return since
        return None

    def letter(self, index: int, held: Mapping[tuple[int, bytes], int], *, tries: int) -> DeadLetter | None:
        """Return the dead letter of an event that is set aside, or None.

        Events of a key wait behind the index in `held`.
        """
        events, record = self._events, self._events.records[index]
        partition_id = events.partition_ids[index]
        error: BaseException | None = self.refused.get(index)
        state = State.PARKED
        if error is None and self._waits(index, held):
            error, state = EventError("an earlier event of the same key is parked"), State.WAITING
        if error is None:
            return None
        return DeadLetter(
            route_id=self._route.route_id,
            partition_id=partition_id,
            record=record,
            event_id=None if events.ids[index] == NO_ID else events.ids[index],
            type=events.types[index],
            error=error,
            attempts=tries,
            state=state,
            replay_id=replay.replay_id if (replay := events.replays.get(partition_id)) is not None else None,
        )

    def _waits(self, index: int, held: Mapping[tuple[int, bytes], int]) -> bool:
        partition_id, record = self._events.partition_ids[index], self._events.records[index]
        if (raw := record.key()) is None:
            return False
        key = held_key(raw)
        # A replayed event from before the parked one is tried, and found to be a duplicate.
        since = self._held_since(partition_id, key)
        return (since is not None and record.offset() >= since) or held.get((partition_id, key), index) < index

    def park(self, letters: Sequence[DeadLetter]) -> None:
        """Let the later events of these dead letters' keys wait from now on.

        Raises:
            OrderHaltError: order = "halt".
        """
        for letter in letters:
            if letter.state is State.PARKED:
                self._report(letter)
            if (key := self.key_held_by(letter)) is not None:
                self._newly_held.setdefault(letter.partition_id, {}).setdefault(key, letter.holds_from)

    def key_held_by(self, letter: DeadLetter) -> bytes | None:
        """Return the key whose later events wait behind the dead letter, as `held_key` returns it, or None."""
        key = letter.record.key() if self._context.limits.order is Order.KEY else None
        return None if key is None else held_key(key)

    def _report(self, letter: DeadLetter) -> None:
        if not self._context.parks:
            return
        where, reason = address_of(letter.record), shown(letter.error).partition("\n")[0]
        if self._context.limits.order is Order.HALT and not isinstance(letter.error, ParkedByHandError):
            raise OrderHaltError(
                f'route "{self._route.name}" cannot apply {where}: {reason}; [failures] order = "halt" stops here: '
                'fix the cause, or set order = "key"',
                partition_id=letter.partition_id,
                offset=letter.record.offset(),
            )
        log().warning("event-parked", route=self._route.name, address=where, attempts=letter.attempts, error=reason)


class DeadLetterWriter:
    """The writer of dead letters, on one connection; `copies` also publishes them through the outbox, if given."""

    def __init__(self, dead_letters: DeadLetters, limits: FailureLimits, copies: LetterCopies | None = None) -> None:
        self._dead_letters = dead_letters
        self._limits = limits
        self._copies = copies

    def park(self, letters: Sequence[DeadLetter]) -> None:
        """Write the dead letters, in the transaction of their batch."""
        if not letters:
            return
        self._dead_letters.park(letters, self._first_delay)
        if self._copies is not None:
            self._copies.add(letters)
        failpoint(Failpoint.PARKED)

    def _first_delay(self, kind: FailureKind) -> timedelta | None:
        return retry_delay(0, kind, self._limits, random())  # noqa: S311 - jitter
