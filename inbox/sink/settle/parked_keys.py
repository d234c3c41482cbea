"""Remember the keys whose later events wait behind a parked one, for one worker."""

from collections.abc import Collection, Mapping, Sequence

from inbox.failure_policy import Order
from inbox.log_lines import log
from inbox.sink.batch import RouteBatch
from inbox.sink.guards.guard import Guard
from inbox.sink.outcome import BatchOutcome
from inbox.store.inbox.dead_letters import DeadLetter, DeadLetters, held_key

HeldKeys = Mapping[int, Mapping[bytes, int]]
"""The keys of one route by partition id, as `held_key` returns them, each with the offset from which
its events wait.
"""


class ParkedKeys:
    """The parked keys that one worker knows. They outlive a connection and follow what is committed.

    At most `most` keys stay in memory. A partition that would exceed this number is left to the
    database, which is then asked for the keys of each batch. The memory stays correct: only the
    owner of a partition parks its events, and resolving a dead letter raises the owner epoch, after
    which the keys are read again.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[tuple[int, int], dict[bytes, int]] = {}
        self._left_to_database: set[int] = set()

    def read(self, dead_letters: DeadLetters, partition_ids: Collection[int]) -> None:
        """Read the keys of these partitions in place of what was known of them."""
        self._forget(partition_ids)
        self._left_to_database.difference_update(partition_ids)
        if not self._take(dead_letters, partition_ids):
            for partition_id in partition_ids:
                if not self._take(dead_letters, [partition_id]):
                    self._leave_to_database(partition_id)

    def distrust(self, partition_ids: Collection[int]) -> None:
        """Forget the keys of these partitions, and ask the database for those of each batch until they are read."""
        self._forget(partition_ids)
        self._left_to_database.update(partition_ids)

    def _take(self, dead_letters: DeadLetters, partition_ids: Collection[int]) -> bool:
        """Read the keys of these partitions; return False if they are too many to keep."""
        room = self._most - self._count()
        found = dead_letters.parked_keys(list(partition_ids), at_most=room + 1)
        if sum(map(len, found.values())) > room:
            return False
        self._kept.update(found)
        return True

    def remember(self, letters: Sequence[DeadLetter]) -> None:
        """Remember the keys of these dead letters, once they are committed."""
        for letter in letters:
            if (raw := letter.record.key()) is not None:
                self._note(letter.route_id, letter.partition_id, held_key(raw), letter.holds_from)

    def of(self, dead_letters: DeadLetters, route_id: int, events: RouteBatch) -> HeldKeys:
        """Return the parked keys that matter for a route's batch, read in the transaction that settles it."""
        self._shrink()
        if self._left_to_database:
            self._ask(dead_letters, route_id, events)
        return {scope[1]: keys for scope, keys in self._kept.items() if scope[0] == route_id and keys}

    def _ask(self, dead_letters: DeadLetters, route_id: int, events: RouteBatch) -> None:
        unknown: dict[int, set[bytes]] = {}
        for partition_id, record in zip(events.partition_ids, events.records, strict=True):
            if partition_id in self._left_to_database and (key := record.key()) is not None:
                unknown.setdefault(partition_id, set()).add(key)
        for partition_id, keys in unknown.items():
            for held, since in dead_letters.parked_among(route_id, partition_id, keys).items():
                self._note(route_id, partition_id, held, since)

    def _note(self, route_id: int, partition_id: int, key: bytes, since: int) -> None:
        keys = self._kept.setdefault((route_id, partition_id), {})
        keys[key] = min(since, keys.get(key, since))

    def _count(self) -> int:
        return sum(map(len, self._kept.values()))

    def _shrink(self) -> None:
        while self._count() > self._most:
            self._leave_to_database(max(self._kept, key=lambda scope: len(self._kept[scope]))[1])

    def _leave_to_database(self, partition_id: int) -> None:
        self._forget([partition_id])
        if partition_id not in self._left_to_database:
            self._left_to_database.add(partition_id)
            log().warning(
                "many-parked-keys",
                partition_id=partition_id,
                kept_at_most=self._most,
                remedy="its batches ask the database which of their keys wait, which takes time; resolve dead letters "
                'with `inbox dead-letters retry` or `discard`, or set [failures] order = "none"',
            )

    def _forget(self, partition_ids: Collection[int]) -> None:
        for scope in [scope for scope in self._kept if scope[1] in partition_ids]:
            del self._kept[scope]


class ParkedKeysGuard(Guard):
    """The parked keys of a worker, kept up to date beside the batches of one connection, if `order` is by key."""

    def __init__(self, parked_keys: ParkedKeys, dead_letters: DeadLetters, order: Order) -> None:
        self._parked_keys = parked_keys
        self._dead_letters = dead_letters
        self._by_key = order is Order.KEY

    def acquired(self, partition_ids: Sequence[int]) -> None:
        if self._by_key:
            self._parked_keys.read(self._dead_letters, partition_ids)

    def distrust(self, partition_ids: Sequence[int]) -> None:
        """Rely on nothing that is known of these partitions until they are acquired, or read, again."""
        if self._by_key:
            self._parked_keys.distrust(partition_ids)

    def held(self, route_id: int, events: RouteBatch) -> HeldKeys:
        """Return the parked keys that matter for a route's batch, read in the transaction that settles it."""
        return self._parked_keys.of(self._dead_letters, route_id, events) if self._by_key else {}

    def committed(self, outcome: BatchOutcome) -> None:
        if self._by_key:
            self._parked_keys.remember(outcome.letters)
