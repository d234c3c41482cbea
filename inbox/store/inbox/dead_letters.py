"""The dead letters: events that were set aside, kept whole."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from hashlib import sha512
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from inbox.errors import EventError, FailureKind
from inbox.events import Record, as_base64, record_milliseconds, record_time
from inbox.reading.payload_hash import payload_hash
from inbox.store.inbox.failures.causes import cause_id, kind_of
from inbox.store.inbox.failures.error_texts import kept, shown
from inbox.store.postgres.connection import Connection
from inbox.store.postgres.storable_text import Storable, storable_in
from inbox.store.sql import statements

_LONGEST_ERROR = 10_000


class State(StrEnum):
    """The state of a dead letter: `parked` failed itself, `waiting` is behind a parked event of its key."""

    PARKED = "parked"
    WAITING = "waiting"
    RETRIED = "retried"
    DISCARDED = "discarded"


OPEN = (State.PARKED, State.WAITING)

MOST_PARKED_KEYS = 250_000
"""The number of keys that a worker keeps; they take 50 MB."""

UNKNOWN_KIND = "unknown"
"""The kind of the cause of what a version before causes parked."""

_SHORT_KEY_BYTES = 64


class EventTooLargeError(EventError):
    """The event is larger than `[sink] largest_event`, so its dead letter does not hold the whole event."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadLetter:
    """An event of one route that was set aside; `attempts` counts the tries of the handler.

    `replay_id` names the replay that met the event again.
    """

    route_id: int
    partition_id: int
    record: Record
    event_id: bytes | None
    type: str | None
    error: BaseException
    attempts: int
    state: State
    replay_id: int | None = None

    @property
    def holds_from(self) -> int:
        """Return the offset from which the events of its key wait.

        This is its own offset. If the event is too large it is the next one: a replay brings the
        event again, because it cannot be applied from its dead letter.
        """
        return self.record.offset() + isinstance(self.error, EventTooLargeError)


def held_key(key: bytes) -> bytes:
    """Return the form in which a worker keeps a parked key: at most 65 bytes, and different for every key.

    A longer key is kept as its digest, as in the statement `parked_keys`. The digest is one byte
    longer than any key that is kept unchanged, so that nobody can choose a key that is mistaken for
    another one.
    """
    return key if len(key) <= _SHORT_KEY_BYTES else b"\0" + sha512(key).digest()


class ParkedAhead(NamedTuple):
    """An event that a person parked before the sink reached it."""

    route_id: int
    partition_id: int
    kafka_offset: int
    error: str


class DueLetter(NamedTuple):
    """A parked event whose try by itself is due; `retries` were made before."""

    dead_letter_id: int
    route_id: int
    partition_id: int
    key: bytes | None
    kind: FailureKind
    retries: int


RetryIn = Callable[[FailureKind], timedelta | None]


class DeadLetters:
    """The reads and writes of `dead_letters`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._sql = statements("dead_letters", schema)

    def park(self, letters: Sequence[DeadLetter], retry_in: RetryIn = lambda _: None) -> None:
        """Write the dead letters; `retry_in` says for a kind of cause after which time a try by itself is due."""
        for letter in letters:
            self._connection.execute(self._sql["park"], _row(letter, storable_in(self._connection), retry_in))

    def fail_again(self, dead_letter_id: int, letter: DeadLetter, retry_in: RetryIn) -> None:
        """Record that a retry failed: store the new error, and add its tries to the earlier ones.

        When the next try by itself is due stays as it was, unless the kind of the cause now permits none.
        """
        row = _row(letter, storable_in(self._connection), retry_in)
        names = ("error_class", "error", "error_detail", "cause", "cause_kind", "attempts", "retry_in")
        changes = {name: row[name] for name in names}
        self._connection.execute(self._sql["fail_again"], {"dead_letter_id": dead_letter_id, **changes})

    def due(
        self, partition_ids: Sequence[int], route_ids: Sequence[int], *, any_order: bool, limit: int
    ) -> list[DueLetter]:
        """Return the parked events whose try by itself is due, each the first of its key unless `any_order`."""
        parameters = {
            "partition_ids": list(partition_ids),
            "route_ids": list(route_ids),
            "any_order": any_order,
            "limit": limit,
        }
        rows = self._connection.execute(self._sql["due"], parameters)
        return [DueLetter(row[0], row[1], row[2], row[3], FailureKind(row[4]), row[5]) for row in rows]

    def postpone(self, dead_letter_ids: Sequence[int], delays: Sequence[timedelta | None]) -> None:
        """Count an automatic try, and set the time of the next one: after the delay, or never."""
        self._connection.execute(self._sql["postpone"], {"ids": list(dead_letter_ids), "delays": list(delays)})

    def resolve_applied(self, partition_id: int, from_offset: int, until_offset: int, by: str) -> None:
        """Resolve what a replay applied, after its claims: from `from_offset` up to, not including, `until_offset`."""
        at = {"partition_id": partition_id, "from_offset": from_offset, "until_offset": until_offset}
        self._connection.execute(self._sql["resolve_applied"], {**at, "by": by})

    def resolve_offsets(self, route_id: int, partition_id: int, offsets: Sequence[int], by: str) -> None:
        """Resolve what a replay applied on a route without claims."""
        at = {"route_id": route_id, "partition_id": partition_id, "offsets": list(offsets)}
        self._connection.execute(self._sql["resolve_offsets"], {**at, "by": by})

    def discarded(self, route_id: int, partition_id: int, from_offset: int, until_offset: int) -> list[int]:
        """Return the offsets of discarded dead letters."""
        at = {"route_id": route_id, "partition_id": partition_id}
        rows = self._connection.execute(
            self._sql["discarded"], {**at, "from_offset": from_offset, "until_offset": until_offset}
        )
        return [row[0] for row in rows]

    def parked_keys(
        self, partition_ids: Sequence[int], *, at_most: int = MOST_PARKED_KEYS + 1
    ) -> dict[tuple[int, int], dict[bytes, int]]:
        """Read the keys of open dead letters in the form of `held_key`, with the offset from which their events wait.

        The result is by (route id, partition id). At most `at_most` keys are read.
        """
        parameters = {
            "partition_ids": list(partition_ids),
            "short": _SHORT_KEY_BYTES,
            "too_large": EventTooLargeError.__name__,
            "at_most": at_most,
        }
        keys: dict[tuple[int, int], dict[bytes, int]] = {}
        for route_id, partition_id, key, first in self._connection.execute(self._sql["parked_keys"], parameters):
            keys.setdefault((route_id, partition_id), {})[bytes(key)] = first
        return keys

    def parked_among(self, route_id: int, partition_id: int, keys: Collection[bytes]) -> dict[bytes, int]:
        """Read as `parked_keys`, for one route and partition and for these keys alone."""
        parameters = {
            "route_id": route_id,
            "partition_id": partition_id,
            "keys": list(keys),
            "short": _SHORT_KEY_BYTES,
            "too_large": EventTooLargeError.__name__,
        }
        return {bytes(key): first for key, first in self._connection.execute(self._sql["parked_among"], parameters)}

    def parked_ahead(self, partition_ids: Sequence[int], error_class: str) -> list[ParkedAhead]:
        """Return the dead letters of this error class at or past the reached offset of these partitions."""
        parameters = {"partition_ids": list(partition_ids), "error_class": error_class}
        return [ParkedAhead(*row) for row in self._connection.execute(self._sql["parked_ahead"], parameters)]

    def parked_above(self, partition_ids: Sequence[int], limit: int) -> frozenset[int]:
        """Return the partitions in which more than `limit` events were parked within an hour and still are.

        Events that wait behind a parked event do not count.
        """
        parameters = {"partition_ids": list(partition_ids), "limit": limit}
        return frozenset(row[0] for row in self._connection.execute(self._sql["parked_above"], parameters))

    def count_by_state(self) -> dict[State, int]:
        rows = self._connection.execute(self._sql["count_by_state"])
        return {State(state): count for state, count in rows}

    def count_by_kind(self) -> dict[str, int]:
        """Return the number of parked events by the kind of their cause, UNKNOWN_KIND for earlier versions."""
        return {kind or UNKNOWN_KIND: count for kind, count in self._connection.execute(self._sql["count_by_kind"])}


def _row(letter: DeadLetter, storable: Storable, retry_in: RetryIn) -> dict[str, Any]:
    record, columns = letter.record, letter_columns(letter, storable)
    return {
        "event_id": UUID(bytes=letter.event_id) if letter.event_id else None,
        "route_id": letter.route_id,
        "partition_id": letter.partition_id,
        "replay_id": letter.replay_id,
        "kafka_offset": record.offset(),
        "kafka_timestamp": record_time(record),
        "kafka_milliseconds": record_milliseconds(record),
        "key": record.key(),
        "value": record.value(),
        "payload_hash": int.from_bytes(payload_hash(record), "big", signed=True),
        **columns,
        **_cause(letter, columns, retry_in),
        "headers": orjson.dumps(columns["headers"]).decode(),
        "error_detail": None if (detail := kept(letter.error)) is None else _bounded(detail, storable),
    }


def _cause(letter: DeadLetter, columns: Mapping[str, Any], retry_in: RetryIn) -> dict[str, Any]:
    """Return the cause as columns. An event that waits behind another one has none."""
    if letter.state is not State.PARKED:
        return {"cause": None, "cause_kind": None, "retry_in": None}
    cause, kind = (
        cause_id(letter.route_id, columns["error_class"], columns["error"]),
        kind_of(letter.error, columns["error"]),
    )
    return {"cause": cause, "cause_kind": kind.value, "retry_in": retry_in(kind)}


def letter_columns(letter: DeadLetter, storable: Storable) -> dict[str, Any]:
    """Return type, headers, error and state of a dead letter as columns, with text that the database can hold."""
    return {
        "type": storable(letter.type) if letter.type else None,
        "headers": [(storable(name), as_base64(value)) for name, value in letter.record.headers() or ()],
        "error_class": storable(type(letter.error).__name__),
        "error": _bounded(shown(letter.error), storable),
        "attempts": letter.attempts,
        "state": letter.state.value,
    }


def _bounded(text: str, storable: Storable) -> str:
    return storable(text[:_LONGEST_ERROR])[:_LONGEST_ERROR]
