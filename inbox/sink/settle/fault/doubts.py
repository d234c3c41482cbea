"""Weigh the evidence about failed events of a route's batch whose cause is uncertain."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from inbox.errors import (
    Guess,
    InboxError,
    Refusal,
    TryAgainError,
    UnconfirmedError,
    UnprovenError,
    forget_frames,
)
from inbox.events import Record, address_of
from inbox.failure_policy import HANDFUL
from inbox.sink.batch import RouteBatch
from inbox.sink.settle.context import BoundRoute, SettleContext
from inbox.sink.settle.fault.blame import Blame, FailureCircumstances, Probe, blame
from inbox.sink.settle.fault.probes import EventProbes
from inbox.sink.settle.fault.try_order import TryOrder
from inbox.store.tables.enveloped_rows import removes

_BEHIND = 64
"""The most events behind a failed one that are tried to judge it."""

_LARGEST_KEPT = 256 * 1024
"""The largest event, in bytes, that is kept for comparison. It bounds the memory of all kept events."""

_LOOKED_BACK = 16
"""The number of events among which the last one with a value is searched."""

_DOES_NOT_FIT = ("42", "3F")
"""The SQLSTATE classes for a missing object. The success of another statement then proves nothing."""

_ADVICE = (
    "correct the database and the sink continues; if the event itself is at fault, park it with "
    "`inbox dead-letters park`"
)


@dataclass(frozen=True)
class _Doubt:
    """An event that failed, and the statements that its handler had executed."""

    index: int
    error: InboxError
    refusal: Refusal
    statements: frozenset[str]
    in_a_row: int


class Doubts:
    """The judge, within the transaction, of whether the failed events or the database is at fault."""

    def __init__(self, attempts: SettleContext, route: BoundRoute, events: RouteBatch) -> None:
        self._context = attempts
        self._route = route
        self._events = events
        self._evidence = attempts.evidence
        self._probes = EventProbes(attempts, route, events)
        self._order = TryOrder()
        self._pending: dict[int, _Doubt] = {}
        self._passed: set[int] = set()
        self._statements: set[str] = set()
        self._without_partition = 0
        self._probed: dict[Refusal, Probe] = {}
        self._last: int | None = None
        self._looked_behind = False

    @property
    def tries_apart(self) -> bool:
        """Return whether the route's events are tried one by one."""
        return self._evidence.tries_apart(self._route.route_id)

    def passed(self, indexes: Sequence[int]) -> None:
        """Record that these events applied together."""
        last = next((index for index in reversed(indexes[-_LOOKED_BACK:]) if self._shows(index)), None)
        if last is None:
            return
        self._last = last
        self._passed.update(indexes)
        self._evidence.passed(self._route.route_id)
        self._note_pass()

    def remember(self) -> None:
        """Keep the last event that applied, to compare the next failure with it."""
        if self._last is None or not self._evidence.judges:
            return
        if _size_of(self._events.records[self._last]) <= _LARGEST_KEPT:
            self._evidence.applied(self._route.route_id, self._events.only([self._last]))

    def failed(self, index: int, error: BaseException) -> None:
        """Record that the event failed by itself. It is set aside unless the evidence says otherwise.

        Raises:
            UnprovenError: the other events fail as well.
        """
        refusal = error.refusal if isinstance(error, InboxError) else None
        if refusal is None or refusal.guess is Guess.VALUE or not isinstance(error, InboxError):
            return
        statements = self._executed()
        self._order.failed(index)
        in_a_row = self._evidence.failed(self._route.route_id, self._events.only([index]))
        self._pending[index] = _Doubt(index, error, refusal, statements, in_a_row)
        self._without_partition += refusal.guess is Guess.NO_PARTITION
        if len(self._pending) == HANDFUL and not self._passed:
            # If all events fail, this shows without trying the rest of a large batch.
            self._route.effect.require_unchanged()
            self._weigh(self._pending[index], alike=1)

    def weigh(self) -> None:
        """Decide about the events that failed so far.

        Raises:
            UnprovenError: nothing shows that the fault is an event's.
        """
        doubts = [self._pending[index] for index in sorted(self._pending)]
        compared = [doubt for doubt in doubts if self._weigh(doubt, alike=self._without_partition)]
        if self._evidence.judges:
            self._confirm(compared)
        self._pending.clear()

    def abandon(self) -> None:
        """Forget the failures of a batch that is rolled back."""
        for doubt in self._pending.values():
            forget_frames(doubt.error)
        self._pending.clear()

    def _weigh(self, doubt: _Doubt, *, alike: int) -> bool:
        """Return whether the event is at fault because others passed, and not by the guess alone."""
        if not self._evidence.judges and not isinstance(doubt.error, TryAgainError):
            return False
        passed = self._passed_beside(doubt)
        asks = not passed and self._may_change(doubt)
        probe = self._probe(doubt) if asks else Probe.UNKNOWN
        if asks and probe is not Probe.PASSED and not (probe is Probe.REFUSED and not self._route.handlers):
            self._look_behind(doubt)
            passed = self._passed_beside(doubt)
        seen = FailureCircumstances(
            passed=passed, alike=alike, probe=probe, repeatable=self._is_repeatable(doubt), in_a_row=doubt.in_a_row
        )
        if blame(doubt.refusal.guess, seen) is Blame.DATABASE:
            raise self._outage(doubt)
        return bool(passed) or probe is Probe.PASSED

    def _confirm(self, doubts: Sequence[_Doubt]) -> None:
        """Try the events once more that failed while others passed: the database may have changed in between.

        Raises:
            UnconfirmedError: the failures and the successes may be of two states of the database.
        """
        new = [doubt for doubt in doubts if not self._evidence.is_suspected(self._route.route_id, self._at(doubt))]
        if any(not self._order.passed_since(doubt.index, self._compared(doubt)) for doubt in new):
            self._pass_again(new[-1])
        unproven = [doubt for doubt in new if not self._fails_again(doubt)]
        if unproven:
            self._evidence.suspect(self._route.route_id, map(self._at, unproven))
            raise UnconfirmedError(
                f"{self._text(unproven[0])}: the database may have changed since",
                away="database",
                reason=unproven[0].refusal.reason,
                alert=True,
            )

    def _fails_again(self, doubt: _Doubt) -> bool:
        """Return whether the event failed before and after others passed."""
        if not self._order.passed_since(doubt.index, self._compared(doubt)):
            return False
        if self._probes.try_out(self._events.only([doubt.index])) is Probe.PASSED:
            return False
        self._order.failed(doubt.index)
        return self._order.is_proven(doubt.index, self._compared(doubt))

    def _pass_again(self, doubt: _Doubt) -> None:
        """Let an event pass behind the last failure: one that applied before, or one behind the failed event."""
        if doubt.refusal.guess is not Guess.NO_PARTITION:
            last = [] if self._last is None else [self._events.only([self._last])]
            for event in (*self._probes.known(doubt.index), *last):
                if self._probes.try_out(event) is Probe.PASSED:
                    self._note_pass()
                    return
        self._look_behind(doubt)

    def _note_pass(self) -> None:
        """Record that the events tried last applied."""
        statements = self._executed()
        self._statements |= statements
        self._order.passed(statements)

    def _executed(self) -> frozenset[str]:
        """Return the statements that the handlers executed in the last try."""
        return frozenset(self._context.session.statements) if self._route.handlers else frozenset()

    def _compared(self, doubt: _Doubt) -> frozenset[str]:
        """Return the statements of which a success is evidence about the failure; none if any success is."""
        return doubt.statements if self._needs_same_statement(doubt) else frozenset()

    def _at(self, doubt: _Doubt) -> tuple[int, int]:
        return self._events.partition_ids[doubt.index], self._events.records[doubt.index].offset()

    def _may_change(self, doubt: _Doubt) -> bool:
        """Return whether a probe can change the decision; a handler is not called without need."""
        return doubt.refusal.guess is not Guess.EVENT or doubt.in_a_row >= HANDFUL or self._is_repeatable(doubt)

    def _is_repeatable(self, doubt: _Doubt) -> bool:
        return not self._route.handlers or doubt.refusal.state == "23502"

    def _passed_beside(self, doubt: _Doubt) -> int:
        if self._needs_same_statement(doubt) and not doubt.statements <= self._statements:
            return 0
        if doubt.refusal.guess is not Guess.NO_PARTITION:
            return len(self._passed)
        indexes = sorted(index for index in self._passed if self._shows(index))
        return len(indexes) - bisect_right(indexes, doubt.index)

    def _needs_same_statement(self, doubt: _Doubt) -> bool:
        if not self._route.handlers:
            return False
        return doubt.refusal.guess is Guess.NO_PARTITION or doubt.refusal.state.startswith(_DOES_NOT_FIT)

    def _shows(self, index: int) -> bool:
        """Return whether the event is evidence if it applies. A tombstone is not: it writes no row."""
        return self._route.handlers or not removes(self._events.records[index])

    def _probe(self, doubt: _Doubt) -> Probe:
        """Return the result of trying events that applied before."""
        if doubt.refusal.guess is Guess.NO_PARTITION:
            return Probe.UNKNOWN
        if doubt.refusal not in self._probed:
            found = self._probes.try_known(doubt.index)
            if found is Probe.PASSED and self._needs_same_statement(doubt):
                found = Probe.PASSED if doubt.statements <= self._executed() else Probe.UNKNOWN
            if found is Probe.PASSED:
                self._order.passed(self._executed())
            self._probed[doubt.refusal] = found
        return self._probed[doubt.refusal]

    def _look_behind(self, doubt: _Doubt) -> None:
        """Try later events of the route's batch: up to 64 of them together, otherwise the last one alone."""
        if self._looked_behind:
            return
        self._looked_behind = True
        later = range(doubt.index + 1, len(self._events))
        behind = [index for index in later if index not in self._pending and self._shows(index)]
        for indexes in (behind[:_BEHIND], behind[-1:]):
            if indexes and self._probes.try_out(self._events.only(indexes)) is Probe.PASSED:
                self._passed.update(indexes)
                self._note_pass()
                return

    def _outage(self, doubt: _Doubt) -> UnprovenError:
        reason = doubt.refusal.reason
        if isinstance(doubt.error, TryAgainError):
            reason = doubt.error.reason
        many = (
            f"{doubt.in_a_row} events in a row fail in this way"
            if doubt.in_a_row > 1
            else "nothing shows that it is its fault"
        )
        return UnprovenError(f"{self._text(doubt)}: {many}; {_ADVICE}", away="database", reason=reason, alert=True)

    def _text(self, doubt: _Doubt) -> str:
        return f'{doubt.error}; route "{self._route.name}" waits at {address_of(self._events.records[doubt.index])}'


def _size_of(record: Record) -> int:
    headers = record.headers() or []
    return len(record.value() or b"") + len(record.key() or b"") + sum(len(value or b"") for _, value in headers)
