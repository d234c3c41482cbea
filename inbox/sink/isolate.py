"""The events of one route in one batch: tried together, and apart where some of them fail."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import xxhash

from inbox.errors import EventError, HaltError
from inbox.events import Record, address_of
from inbox.failpoints import Failpoint, reach
from inbox.policy import FailureLimits, Isolation, Order, SameId, Verdict, after_failure, pause_before_attempt
from inbox.sink.apply import AttemptFailed, Effect
from inbox.sink.batch import NO_ID, Column
from inbox.store.database import SinkConnection
from inbox.store.dead_letters import DeadLetter, State
from inbox.store.processed import Claims, Processed
from inbox.store.session import HandlerSession
from inbox.store.transaction import BatchTransaction
from inbox.telemetry import log

ParkedKeys = dict[tuple[int, int], dict[bytes, int]]
"""Keys with the offset from which on their events wait, by (route id, partition id)."""


def payload_hash(record: Record) -> bytes:
    """By which a claim tells a duplicate from another event under the same id."""
    return xxhash.xxh3_64_digest(record.value() or b"")


@dataclass(frozen=True)
class BoundRoute:
    """A route as this run knows it: its name, its id in the database, what it does."""

    name: str
    route_id: int
    effect: Effect
    handlers: bool


@dataclass(frozen=True, slots=True)
class Attempts:
    """What an attempt works with."""

    connection: SinkConnection
    session: HandlerSession
    transaction: BatchTransaction
    processed: Processed
    limits: FailureLimits


@dataclass(slots=True)
class RouteResult:
    """What did not apply: `duplicates` and `set_aside` count by partition id."""

    letters: list[DeadLetter] = field(default_factory=list)
    duplicates: Counter[int] = field(default_factory=Counter)
    set_aside: Counter[int] = field(default_factory=Counter)


class _SameIdOtherPayload(Exception):  # noqa: N818 - an answer on its way up
    """Events of an attempt whose id was claimed with another payload, by place in the column."""

    def __init__(self, places: dict[int, EventError]) -> None:
        super().__init__(len(places))
        self.places = places


class RouteSettling:
    """Tries the parts of a column in order, until each event is applied or set aside."""

    def __init__(self, attempts: Attempts, route: BoundRoute, column: Column, parked_keys: ParkedKeys) -> None:
        self._do = attempts
        self._route = route
        self._column = column
        self._refused: dict[int, Exception] = dict(column.refused)
        self._conflicts: set[int] = set()
        self._tries: Counter[int] = Counter(column.tries)
        self._held = {scope: keys for scope, keys in parked_keys.items() if scope[0] == route.route_id and keys}
        self._newly_held: ParkedKeys = {}
        self._result = RouteResult()

    def run(self) -> RouteResult:
        """Raises TryAgainError for an outage, HaltError where order = "halt" and an event fails."""
        isolation = Isolation(len(self._column))
        while (part := isolation.part) is not None:
            places, letters = self._sort(part)
            try:
                self._attempt(places)
            except AttemptFailed as failed:
                alone = isolation.failed(failed.at)
                if (culprit := alone if failed.at is None else failed.at) is not None:
                    self._judge(culprit, failed)
            except _SameIdOtherPayload as conflict:
                self._refused.update(conflict.places)
                self._conflicts.update(conflict.places)
            else:
                self._set_aside(letters)
                isolation.stood()
        return self._result

    def _sort(self, part: range) -> tuple[Sequence[int], list[DeadLetter]]:
        """Which places to try, and what is set aside: refused, or behind a parked event of its key."""
        if not self._refused and not self._held and not self._newly_held:
            return part, []
        places, letters = [], []
        newly_held: set[tuple[int, bytes]] = set()
        for place in part:
            letter = self._letter(place, newly_held)
            if letter is None:
                places.append(place)
            else:
                letters.append(letter)
                if self._do.limits.order is Order.KEY and (key := letter.record.key()) is not None:
                    newly_held.add((letter.partition_id, key))
        return places, letters

    def _letter(self, place: int, newly_held: set[tuple[int, bytes]]) -> DeadLetter | None:
        column, record = self._column, self._column.records[place]
        partition_id, key = column.partition_ids[place], record.key()
        error: Exception | None = self._refused.get(place)
        state = State.PARKED
        if error is None and key is not None:
            scope = (self._route.route_id, partition_id)
            # What a replay brings again from before the parked event is tried, and found to be a duplicate.
            since = self._held.get(scope, {}).get(key, self._newly_held.get(scope, {}).get(key))
            if (since is not None and record.offset() >= since) or (partition_id, key) in newly_held:
                error, state = EventError("an earlier event of the same key is parked"), State.WAITING
        if error is None:
            return None
        return DeadLetter(
            route_id=self._route.route_id,
            partition_id=partition_id,
            record=record,
            event_id=None if column.ids[place] == NO_ID else column.ids[place],
            type=column.types[place],
            error=error,
            attempts=self._tries[place],
            state=state,
        )

    def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            if letter.state is State.PARKED:
                self._report(letter)
            key = letter.record.key()
            if self._do.limits.order is Order.KEY and key is not None:
                scope = (letter.route_id, letter.partition_id)
                self._newly_held.setdefault(scope, {}).setdefault(key, letter.record.offset())
            self._result.set_aside[letter.partition_id] += 1
        self._result.letters += letters

    def _report(self, letter: DeadLetter) -> None:
        where, reason = address_of(letter.record), str(letter.error)
        if self._do.limits.order is Order.HALT:
            raise HaltError(
                f'route "{self._route.name}" cannot apply {where}: {reason}; [failures] order = "halt" stops here: '
                'mend the cause, or set order = "key"'
            )
        log().warning("event-parked", route=self._route.name, address=where, attempts=letter.attempts, error=reason)

    def _attempt(self, places: Sequence[int]) -> None:
        column = self._column if len(places) == len(self._column) else self._column.only(places)
        if not column.ids:
            return
        self._do.transaction.start_attempt()
        try:
            duplicates = self._claim(column, places)
            self._apply(column.without(duplicates), duplicates, places)
            reach(Failpoint.HANDLED)
            self._end_attempt()
        except (AttemptFailed, _SameIdOtherPayload) as failed:
            self._do.transaction.undo_attempt()
            if isinstance(failed, AttemptFailed) and failed.at is None:
                self._look_closer(failed, column, places)
            raise
        self._result.duplicates.update(column.partition_ids[place] for place in duplicates)

    def _apply(self, new: Column, duplicates: Sequence[int], places: Sequence[int]) -> None:
        if not new.ids:
            return
        try:
            self._route.effect.apply(self._do.connection, self._do.session, new)
        except AttemptFailed as failed:
            if failed.at is not None:
                gone = set(duplicates)
                failed.at = [place for at, place in enumerate(places) if at not in gone][failed.at]
            raise

    def _look_closer(self, failed: AttemptFailed, column: Column, places: Sequence[int]) -> None:
        effect, connection = self._route.effect, self._do.connection
        if len(column) == 1:
            failed.error = effect.explain(connection, column, failed.error)
        elif (found := effect.find(connection, column)) is not None:
            failed.at, failed.error = places[found], effect.explain(connection, column.only([found]), failed.error)

    def _end_attempt(self) -> None:
        try:
            self._do.transaction.end_attempt()
        except EventError as error:
            raise AttemptFailed(error, None, certain=True) from error

    def _claim(self, column: Column, places: Sequence[int]) -> list[int]:
        hashes = [payload_hash(record) for record in column.records]
        claims = Claims(column.ids, [record.offset() for record in column.records], hashes, column.partition_ids)
        duplicates = self._do.processed.claim(self._do.connection, self._route.route_id, claims)
        reach(Failpoint.CLAIMED)
        if duplicates:
            self._compare(column, claims, duplicates, places)
        return duplicates

    def _compare(self, column: Column, claims: Claims, duplicates: Sequence[int], places: Sequence[int]) -> None:
        """Tell true duplicates from different events under one id."""
        ids = [column.ids[place] for place in duplicates]
        earlier = self._do.processed.claims_of(self._do.connection, self._route.route_id, ids)
        conflicts: dict[int, EventError] = {}
        for place in duplicates:
            claim, here = earlier.get(column.ids[place]), address_of(column.records[place])
            if claim is not None and claim.payload_hash != claims.hashes[place] and claim.address != here:
                text = f"its event id was applied before, from {claim.address}, with another payload"
                conflicts[places[place]] = EventError(text)
                log().warning("same-id-other-payload", route=self._route.name, address=here, earlier=claim.address)
        if conflicts and self._do.limits.same_id_other_payload is SameId.PARK:
            raise _SameIdOtherPayload(conflicts)

    def _judge(self, culprit: int, failed: AttemptFailed) -> None:
        """One event failed alone: set it aside, or let it be tried again."""
        self._tries[culprit] += 1
        tries = self._tries[culprit]
        if after_failure(certain=failed.certain, attempts=tries, limits=self._do.limits) is Verdict.PARK:
            # What bore an id first may be the one that is set aside now: who conflicts with whom is asked anew.
            for place in self._conflicts:
                del self._refused[place]
            self._conflicts.clear()
            self._refused[culprit] = failed.error
        else:
            time.sleep(pause_before_attempt(tries))
