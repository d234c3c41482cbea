"""Which events of a route in one batch are set aside: those that are refused, and those behind one of their key."""

from collections.abc import Mapping, Sequence

from inbox.errors import EventError, HaltError
from inbox.events import address_of
from inbox.policy import Order
from inbox.sink.attempts import Attempts, BoundRoute, ParkedKeys
from inbox.sink.batch import NO_ID, Column
from inbox.store.dead_letters import DeadLetter, State
from inbox.telemetry import log


class Aside:
    """What is known of it before an event is tried; `refused` are the errors of those that are not, by place."""

    def __init__(self, attempts: Attempts, route: BoundRoute, column: Column, parked_keys: ParkedKeys) -> None:
        self._do = attempts
        self._route = route
        self._column = column
        self.refused: dict[int, Exception] = dict(column.refused)
        self._held = {scope: keys for scope, keys in parked_keys.items() if scope[0] == route.route_id and keys}
        self._newly_held: ParkedKeys = {}
        self._any_held: set[bytes] = set().union(*self._held.values())

    def any_of(self, places: Sequence[int]) -> bool:
        """Quick, for every event passes it while any key is parked; one of another partition is close enough."""
        if self.refused and any(place in self.refused for place in places):
            return True
        records, held = self._column.records, self._any_held
        return bool(held) and any(records[place].key() in held for place in places)

    def letter(self, place: int, held: Mapping[tuple[int, bytes], int], *, tries: int) -> DeadLetter | None:
        """The dead letter of an event that is set aside; `held` says behind which place events of a key wait."""
        column, record = self._column, self._column.records[place]
        partition_id, key = column.partition_ids[place], record.key()
        error: Exception | None = self.refused.get(place)
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
            attempts=tries,
            state=state,
            replay_id=replay.replay_id if (replay := column.replays.get(partition_id)) is not None else None,
        )

    def park(self, letters: Sequence[DeadLetter]) -> None:
        """From now on the events of their keys wait.

        Raises:
            HaltError: order = "halt".
        """
        for letter in letters:
            if letter.state is State.PARKED:
                self._report(letter)
            if (key := self.key_held_by(letter)) is not None:
                scope = (letter.route_id, letter.partition_id)
                self._newly_held.setdefault(scope, {}).setdefault(key, letter.record.offset())
                self._any_held.add(key)

    def key_held_by(self, letter: DeadLetter) -> bytes | None:
        """The key whose later events wait behind it."""
        return letter.record.key() if self._do.limits.order is Order.KEY else None

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
