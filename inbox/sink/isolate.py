"""The events of one route in one batch: tried together, and apart where some of them fail."""

import time
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import xxhash

from inbox.errors import EventError, HaltError
from inbox.events import Record, address_of
from inbox.failpoints import Failpoint, reach
from inbox.policy import (
    FailureLimits,
    Foresight,
    Isolation,
    Order,
    SameId,
    Verdict,
    after_failure,
    pause_before_attempt,
)
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
class RouteForesight:
    """What the events that come next are taken to be: `claims` new, `effects` good, `rows` new in a route's table."""

    claims: Foresight = field(default_factory=Foresight)
    effects: Foresight = field(default_factory=Foresight)
    rows: Foresight = field(default_factory=Foresight)


@dataclass(frozen=True, slots=True)
class Attempts:
    """What an attempt works with; `trial`: it is rolled back, so that nothing is parked for good."""

    connection: SinkConnection
    session: HandlerSession
    transaction: BatchTransaction
    processed: Processed
    limits: FailureLimits
    trial: bool = False
    foresight: defaultdict[int, RouteForesight] = field(default_factory=lambda: defaultdict(RouteForesight))
    """By route id."""


class SameIdOtherPayloadError(EventError):
    """The event's id was applied before, with another payload."""


@dataclass(slots=True)
class RouteResult:
    """What did not apply, counted by partition id.

    `other_payloads` are those among `duplicates` or `set_aside` whose id was applied before with another payload.
    """

    letters: list[DeadLetter] = field(default_factory=list)
    duplicates: Counter[int] = field(default_factory=Counter)
    set_aside: Counter[int] = field(default_factory=Counter)
    other_payloads: Counter[int] = field(default_factory=Counter)


LARGEST_PART = 2500
"""Events that are tried together: what a first failure among them undoes."""


def claims_of(column: Column) -> Claims:
    hashes = [payload_hash(record) for record in column.records]
    return Claims(column.ids, [record.offset() for record in column.records], hashes, column.partition_ids)


class _SameIdOtherPayload(Exception):  # noqa: N818 - an answer on its way up
    """Events of an attempt whose id was claimed with another payload, by place in the column."""

    def __init__(self, places: dict[int, EventError]) -> None:
        super().__init__(len(places))
        self.places = places


class _FoldAnew(Exception):  # noqa: N818 - an answer on its way up
    """An event was set aside whose id another one of the part bears, which is no duplicate any more."""


@dataclass(slots=True)
class _Part:
    """A part while it is tried: the `places` to claim, and what is set aside: refused, or behind such an event."""

    places: Sequence[int]
    letters: dict[int, DeadLetter] = field(default_factory=dict)
    held: dict[tuple[int, bytes], int] = field(default_factory=dict)
    """The place behind which the events of a key wait, by (partition id, key)."""
    duplicates: list[int] = field(default_factory=list)
    other_payloads: Sequence[int] = ()
    """Those of the duplicates that are none by their payload."""
    new: Sequence[int] = ()
    followers: set[bytes] = field(default_factory=set)
    """Ids of claimed events that others of the part bear too."""
    failed: set[int] = field(default_factory=set)
    """The places of events that failed by themselves."""
    failure: AttemptFailed | None = None
    """How the part as a whole failed, once it was tried."""


class RouteSettling:
    """Settles the events of a column part by part, until each is applied or set aside.

    A part is claimed and tried as a whole. Where that fails, its events are applied in groups, each undone by itself,
    and the claims of those that are set aside are taken back.
    """

    def __init__(self, attempts: Attempts, route: BoundRoute, column: Column, parked_keys: ParkedKeys) -> None:
        self._do = attempts
        self._route = route
        self._column = column
        self._refused: dict[int, Exception] = dict(column.refused)
        self._conflicts: set[int] = set()
        self._tries: Counter[int] = Counter(column.tries)
        self._paused = 0.0
        self._held = {scope: keys for scope, keys in parked_keys.items() if scope[0] == route.route_id and keys}
        self._newly_held: ParkedKeys = {}
        self._any_held: set[bytes] = set().union(*self._held.values())
        self._foresight = attempts.foresight[route.route_id]
        self.result = RouteResult()

    def untroubled_from(self, start: int) -> bool:
        """Nothing is known to be set aside, or to be tried again, of the events from that place on."""
        column = self._column
        return not (column.replays or column.tries or self._any_aside(range(start, len(column))))

    def run(self) -> RouteResult:
        """Raises TryAgainError for an outage, HaltError where order = "halt" and an event fails."""
        start = 0
        while start < len(self._column):
            start = self.settle_from(start)
        return self.result

    def settle_from(self, start: int) -> int:
        """Settle the next part; the place behind it."""
        places = range(start, min(start + LARGEST_PART, len(self._column)))
        self._foresight.effects.learned(well=self._settle(places).failure is None)
        return places.stop

    def settle_failed(self, places: range) -> int:
        """Settle these events, whose effects failed when all were tried; how many failed by themselves."""
        return len(self._settle(places, whole=False).failed)

    def _settle(self, places: range, *, whole: bool = True) -> _Part:
        """Not `whole`: all together they need not be tried."""
        while True:
            part = _Part(places)
            part.places = self._sort(places, part)
            try:
                self._attempt(part, whole=whole)
            except _SameIdOtherPayload as conflict:
                self._refused.update(conflict.places)
                self._conflicts.update(conflict.places)
            except _FoldAnew:
                self._conflicts_anew()
            else:
                break
        self._conflicts.clear()
        self.result.duplicates.update(self._column.partition_ids[place] for place in part.duplicates)
        self.result.other_payloads.update(self._column.partition_ids[place] for place in part.other_payloads)
        self._set_aside([letter for _, letter in sorted(part.letters.items())])
        return part

    def _attempt(self, part: _Part, *, whole: bool) -> None:
        if not part.places:
            return
        transaction = self._do.transaction
        transaction.start_attempt()
        try:
            self._claim(part)
            transaction.start_steps()
            if not (whole and self._stands(part)):
                self._apply_in_groups(part)
            reach(Failpoint.HANDLED)
            transaction.end_attempt()
        except (_SameIdOtherPayload, _FoldAnew):
            transaction.undo_attempt()
            raise

    def _stands(self, part: _Part) -> bool:
        """All effects of a part; where they fail they are undone, and the part knows how."""
        try:
            self._apply(part.new)
            self._check(self._do.transaction.check_deferred)
        except AttemptFailed as failed:
            self._do.transaction.undo_step()
            part.failure = failed
        return part.failure is None

    def _apply(self, places: Sequence[int]) -> None:
        if not places:
            return
        column = self._column if len(places) == len(self._column) else self._column.only(places)
        try:
            self._route.effect.apply(self._do.connection, self._do.session, column)
        except AttemptFailed as failed:
            if failed.at is not None:
                failed.at = places[failed.at]
            raise

    def _apply_in_groups(self, part: _Part) -> None:
        transaction, isolation = self._do.transaction, Isolation(len(part.new))
        self._narrow(isolation, part)
        while (group := isolation.part()) is not None:
            try:
                self._apply_step(self._sort(part.new[group.start : group.stop], part))
            except AttemptFailed as error:
                transaction.undo_step()
                self._blame(isolation, part, error)
            else:
                isolation.stood()
        self._do.processed.withdraw(
            self._do.connection, self._route.route_id, [self._column.ids[p] for p in part.new if p in part.letters]
        )

    def _apply_step(self, places: Sequence[int]) -> None:
        if places:
            self._apply(places)
            self._check(self._do.transaction.end_step)

    def _blame(self, isolation: Isolation, part: _Part, failed: AttemptFailed) -> None:
        culprit = isolation.failed(None if failed.at is None else bisect_left(part.new, failed.at))
        if culprit is not None:
            place = part.new[culprit]
            part.failed.add(place)
            self._judge(place, self._explained(place, failed))

    def _narrow(self, isolation: Isolation, part: _Part) -> None:
        """Begin with what is known: where the part failed, or which events cannot but fail."""
        if part.failure is not None and (part.failure.at is not None or len(part.new) == 1):
            self._blame(isolation, part, part.failure)
            return
        found = self._route.effect.find(self._do.connection, self._column.only(part.new))
        for at, error in found.refused.items():
            place = part.new[at]
            part.failed.add(place)
            self._tries[place] += 1
            self._refused[place] = error
        if found.suspects:
            isolation.alone(found.suspects)
        elif not found.refused and len(part.new) > 1:
            isolation.failed()

    def _explained(self, place: int, failed: AttemptFailed) -> AttemptFailed:
        if failed.certain:
            failed.error = self._route.effect.explain(self._do.connection, self._column.only([place]), failed.error)
        return failed

    def _sort(self, places: Sequence[int], part: _Part) -> Sequence[int]:
        """Which places to try, and what is set aside: refused, or behind a parked event of its key."""
        if not part.held and not self._any_aside(places):
            return places
        kept = []
        for place in places:
            letter = part.letters.get(place) or self._letter(place, part.held)
            if letter is None:
                kept.append(place)
                continue
            part.letters[place] = letter
            if self._do.limits.order is Order.KEY and (key := letter.record.key()) is not None:
                scope = (letter.partition_id, key)
                part.held[scope] = min(place, part.held.get(scope, place))
            if self._column.ids[place] in part.followers:
                raise _FoldAnew
        return kept

    def _any_aside(self, places: Sequence[int]) -> bool:
        """Quick, for every event passes it while any key is parked; one of another partition is close enough."""
        if self._refused and any(place in self._refused for place in places):
            return True
        records, held = self._column.records, self._any_held
        return bool(held) and any(records[place].key() in held for place in places)

    def _letter(self, place: int, held: Mapping[tuple[int, bytes], int]) -> DeadLetter | None:
        column, record = self._column, self._column.records[place]
        partition_id, key = column.partition_ids[place], record.key()
        error: Exception | None = self._refused.get(place)
        state = State.PARKED
        if error is None and key is not None:
            scope = (self._route.route_id, partition_id)
            # What a replay brings again from before the parked event is tried, and found to be a duplicate.
            since = self._held.get(scope, {}).get(key, self._newly_held.get(scope, {}).get(key))
            if (since is not None and record.offset() >= since) or held.get((partition_id, key), place) < place:
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
            replay_id=replay.replay_id if (replay := column.replays.get(partition_id)) is not None else None,
        )

    def _set_aside(self, letters: Sequence[DeadLetter]) -> None:
        for letter in letters:
            if letter.state is State.PARKED:
                self._report(letter)
            key = letter.record.key()
            if self._do.limits.order is Order.KEY and key is not None:
                scope = (letter.route_id, letter.partition_id)
                self._newly_held.setdefault(scope, {}).setdefault(key, letter.record.offset())
                self._any_held.add(key)
            self.result.set_aside[letter.partition_id] += 1
            self.result.other_payloads[letter.partition_id] += isinstance(letter.error, SameIdOtherPayloadError)
        self.result.letters += letters

    def _report(self, letter: DeadLetter) -> None:
        if self._do.trial:
            return
        where, reason = address_of(letter.record), str(letter.error)
        if self._do.limits.order is Order.HALT:
            raise HaltError(
                f'route "{self._route.name}" cannot apply {where}: {reason}; [failures] order = "halt" stops here: '
                'mend the cause, or set order = "key"'
            )
        log().warning("event-parked", route=self._route.name, address=where, attempts=letter.attempts, error=reason)

    def _check(self, deferred: Callable[[], None]) -> None:
        try:
            deferred()
        except EventError as error:
            raise AttemptFailed(error, None, certain=True) from error

    def _claim(self, part: _Part) -> None:
        column = self._column if len(part.places) == len(self._column) else self._column.only(part.places)
        claims = claims_of(column)
        duplicates = self._claimed_before(claims)
        if column.replays:
            duplicates = self._claim_again(column, claims, duplicates)
        reach(Failpoint.CLAIMED)
        part.new = part.places
        if duplicates:
            other_payloads = self._other_payloads(column, claims, duplicates, part.places)
            if other_payloads and self._do.limits.same_id_other_payload is SameId.PARK:
                raise _SameIdOtherPayload(other_payloads)
            part.other_payloads = list(other_payloads)
            part.duplicates = [part.places[place] for place in duplicates]
            gone = set(part.duplicates)
            part.new = [place for place in part.places if place not in gone]
        part.followers = {self._column.ids[place] for place in (*part.duplicates, *self._conflicts)}

    def _claimed_before(self, claims: Claims) -> list[int]:
        """Claim those that are new; the places of the others. First in its attempt, so that a wrong guess is undone."""
        processed, connection, route_id = self._do.processed, self._do.connection, self._route.route_id
        foresight = self._foresight.claims
        if foresight.is_good:
            if processed.claim_new(connection, route_id, claims):
                foresight.was_right()
                return []
            foresight.was_wrong()
            self._do.transaction.undo_attempt()
            self._do.transaction.start_attempt()
        duplicates = processed.claim(connection, route_id, claims)
        foresight.learned(well=not duplicates)
        return duplicates

    def _claim_again(self, column: Column, claims: Claims, duplicates: Sequence[int]) -> list[int]:
        """Of the duplicates, those that no replay lets take effect once more."""
        left = set(duplicates)
        for replay_id, places in column.forced().items():
            left.update(places)
            again = self._do.processed.claim_again(
                self._do.connection, self._route.route_id, claims.only(places), replay_id
            )
            left.difference_update(places[at] for at in again)
        return sorted(left)

    def _other_payloads(
        self, column: Column, claims: Claims, duplicates: Sequence[int], places: Sequence[int]
    ) -> dict[int, EventError]:
        """By place, those among the duplicates that are different events under one id."""
        ids = [column.ids[place] for place in duplicates]
        earlier = self._do.processed.claims_of(self._do.connection, self._route.route_id, ids)
        conflicts: dict[int, EventError] = {}
        for place in duplicates:
            claim, here = earlier.get(column.ids[place]), address_of(column.records[place])
            if claim is not None and claim.payload_hash != claims.hashes[place] and claim.address != here:
                text = f"its event id was applied before, from {claim.address}, with another payload"
                conflicts[places[place]] = SameIdOtherPayloadError(text)
                log().warning("same-id-other-payload", route=self._route.name, address=here, earlier=claim.address)
        return conflicts

    def _judge(self, culprit: int, failed: AttemptFailed) -> None:
        """One event failed: set it aside, or let it be tried again."""
        self._tries[culprit] += 1
        tries = self._tries[culprit]
        if after_failure(certain=failed.certain, attempts=tries, limits=self._do.limits) is Verdict.PARK:
            self._refused[culprit] = failed.error
            return
        pause = pause_before_attempt(tries, self._paused)
        self._paused += pause
        time.sleep(pause)

    def _conflicts_anew(self) -> None:
        """What bore an id first may be what is set aside now: who conflicts with whom is asked anew."""
        for place in self._conflicts:
            del self._refused[place]
        self._conflicts.clear()
