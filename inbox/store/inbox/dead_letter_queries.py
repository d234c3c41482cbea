"""Read dead letters in order to show, apply or discard them."""

from base64 import b64decode
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, LiteralString, NamedTuple
from uuid import UUID

import orjson

from inbox.events import Header, KeptRecord, TopicPartition, address, as_base64, timestamp_at
from inbox.store.inbox.dead_letters import State
from inbox.store.inbox.failures.causes import CauseText, cause_id, cause_text
from inbox.store.inbox.failures.error_texts import parted
from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements

_MAY_CHANGE: LiteralString = """
SELECT pg_catalog.has_column_privilege(c.oid, 'value', 'UPDATE')
FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
WHERE n.nspname = %(schema)s AND c.relname = 'dead_letters'
"""

_AT_ONCE = 500
_BYTES_AT_ONCE = 16 << 20


@dataclass(frozen=True, kw_only=True)
class Selection:
    """A person's conditions for dead letters: a dead letter must fit all of them; `ids` None fits any."""

    ids: tuple[int, ...] | None = None
    topic: str | None = None
    route: str | None = None
    key: bytes | None = None
    error: str | None = None
    cause: str | None = None
    older_than: timedelta | None = None


@dataclass(frozen=True, kw_only=True)
class Letter:
    """A row of `dead_letters`; payload is read only on request.

    `original` is the record as it came, if a person edited it. `payload_hash` is that of what came,
    None if a version before `payload_hash` parked it.

    Payload is the record's value and headers, and `error_detail`; `has_detail` says whether the
    error has a detail.
    """

    dead_letter_id: int
    state: State
    route_id: int
    route: str
    partition_id: int
    topic_id: UUID | None
    event_id: bytes | None
    type: str | None
    error_class: str
    error: str
    attempts: int
    created_at: datetime
    updated_at: datetime
    resolved_at: datetime | None
    resolved_by: str | None
    record: KeptRecord
    cause: str | None = None
    error_detail: str | None = None
    has_detail: bool = False
    edited_at: datetime | None = None
    edited_by: str | None = None
    original: KeptRecord | None = None
    redacted_at: datetime | None = None
    payload_hash: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class Cause:
    """The parked events of one route that failed alike; `example` is the first of them.

    `kind` is None if an earlier version parked them. `keys` counts an event without a key as one, as a
    retry does.
    """

    cause: str
    kind: str | None
    route: str
    error_class: str
    described: CauseText
    parked: int
    keys: int
    first: datetime
    last: datetime
    topics: tuple[str, ...]
    example: int

    def with_earlier(self, earlier: "Cause") -> "Cause":
        """Return the cause together with the events of it that an earlier version parked."""
        return replace(
            self,
            parked=self.parked + earlier.parked,
            keys=self.keys + earlier.keys,
            first=min(self.first, earlier.first),
            last=max(self.last, earlier.last),
            topics=tuple(sorted({*self.topics, *earlier.topics})),
            example=min(self.example, earlier.example),
        )


class AffectedLetter(NamedTuple):
    """An open dead letter that a retry or discard concerns: `selected`, or open before or behind a selected one.

    `claimed`: an event with the same id was applied meanwhile.
    """

    dead_letter_id: int
    state: State
    route_id: int
    route: str
    partition_id: int
    at: TopicPartition
    kafka_offset: int
    key: bytes | None
    selected: bool
    claimed: bool
    updated_at: datetime
    owner_epoch: int

    @property
    def address(self) -> str:
        return address(self.at.topic, self.at.partition, self.kafka_offset)


class DeadLetterQueries:
    """The reads of `dead_letters` for people, and the changes of state; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._sql = statements("dead_letters", schema)

    def may_change(self) -> bool:
        """Return whether the role may replace or remove what was recorded, as the schema's owner may."""
        row = self._connection.execute(_MAY_CHANGE, {"schema": self._schema}).fetchone()
        return bool(row and row[0])

    def select(self, selection: Selection, states: Sequence[State]) -> list[int]:
        """Return the ids of the selected dead letters, in the order of route, partition, key and offset."""
        earlier = () if selection.cause is None else self._of_earlier_versions(selection.cause)
        parameters = {
            "states": [state.value for state in states],
            "ids": None if selection.ids is None else list(selection.ids),
            "topic": selection.topic,
            "route": selection.route,
            "key": selection.key,
            "error": selection.error,
            "cause": selection.cause,
            "of_earlier_versions": list(earlier),
            "older_than": selection.older_than,
        }
        return [row[0] for row in self._connection.execute(self._sql["selected"], parameters)]

    def causes(self) -> list[Cause]:
        """Return the causes of all parked events, the most frequent first."""
        found = {row[0]: _cause(row) for row in self._connection.execute(self._sql["causes"])}
        for cause in self._causes_of_earlier_versions():
            same = found.get(cause.cause)
            found[cause.cause] = cause if same is None else same.with_earlier(cause)
        return sorted(found.values(), key=lambda cause: (-cause.parked, cause.example))

    def _causes_of_earlier_versions(self) -> Iterator[Cause]:
        parked: dict[str, list[tuple[Any, ...]]] = {}
        for row in self._connection.execute(self._sql["without_cause"]):
            parked.setdefault(cause_id(row[1], row[6], row[7]), []).append(row)
        for cause, rows in parked.items():
            first = rows[0]
            # An event without a key stands alone.
            keys, topics = (
                len({(row[4], row[0] if row[5] is None else row[5]) for row in rows}),
                sorted({row[3] for row in rows}),
            )
            times = [row[8] for row in rows]
            yield _cause(
                (cause, None, first[2], first[6], first[7], len(rows), keys, min(times), max(times), topics, first[0])
            )

    def _of_earlier_versions(self, cause: str) -> list[int]:
        """Return the ids of the parked events of the cause that a version before causes parked."""
        rows = self._connection.execute(self._sql["without_cause"])
        return [row[0] for row in rows if cause_id(row[1], row[6], row[7]) == cause]

    def read(self, ids: Sequence[int], *, whole: bool) -> Iterator[Letter]:
        """Yield the dead letters in the order of the ids, with a bounded number of bytes in memory.

        Ids without a dead letter are skipped.
        """
        for start in range(0, len(ids), _AT_ONCE):
            for part in self._parts(ids[start : start + _AT_ONCE], whole=whole):
                yield from map(_letter, self._connection.execute(self._sql["letters"], {"ids": part, "whole": whole}))

    def _parts(self, ids: Sequence[int], *, whole: bool) -> Iterator[list[int]]:
        """Yield the ids in parts whose dead letters fit into memory together."""
        part: list[int] = []
        total = 0
        for dead_letter_id, size in self._connection.execute(self._sql["sizes"], {"ids": list(ids), "whole": whole}):
            if part and total + size > _BYTES_AT_ONCE:
                yield part
                part, total = [], 0
            part.append(dead_letter_id)
            total += size
        if part:
            yield part

    def affected(self, ids: Sequence[int]) -> list[AffectedLetter]:
        """Return the dead letters that a retry or discard of these ids concerns, in the order of `select`."""
        rows = self._connection.execute(self._sql["concerned"], {"ids": list(ids)})
        return [AffectedLetter(r[0], State(r[1]), r[2], r[3], r[4], TopicPartition(r[5], r[6]), *r[7:13]) for r in rows]

    def open_of(
        self, route_id: int, partition_id: int, *, keys: Sequence[bytes], ids: Sequence[int], limit: int
    ) -> tuple[list[Letter], bool]:
        """Return the first open dead letters of these keys and with these ids, whole and in the order of offsets.

        The bool says whether there are more, because they are more than `limit` or too large to be read together.
        """
        parameters = {
            "route_id": route_id,
            "partition_id": partition_id,
            "keys": list(keys),
            "ids": list(ids),
            "limit": limit + 1,
        }
        found = [row[0] for row in self._connection.execute(self._sql["open_of"], parameters)]
        part = next(self._parts(found[:limit], whole=True), [])
        return list(self.read(part, whole=True)), len(part) < len(found)

    def still_open(self, ids: Sequence[int]) -> Iterator[Letter]:
        """Yield the dead letters that nobody resolved, whole and in the order of their offsets."""
        found = [row[0] for row in self._connection.execute(self._sql["still_open"], {"ids": list(ids)})]
        return self.read(found, whole=True)

    def edit(
        self, dead_letter_id: int, value: bytes | None, headers: Sequence[Header], event_id: bytes | None, by: str
    ) -> bool:
        """Replace value and headers of an open dead letter, and keep what came beside them.

        It gets the event id if it has none.

        Returns:
            False if it is not open any more.
        """
        parameters = {
            "dead_letter_id": dead_letter_id,
            "event_id": None if event_id is None else UUID(bytes=event_id),
            "value": value,
            "headers": orjson.dumps([(name, as_base64(each)) for name, each in headers]).decode(),
            "by": by,
        }
        return self._connection.execute(self._sql["edit"], parameters).rowcount > 0

    def redact(self, ids: Sequence[int]) -> int:
        """Remove the payloads of these dead letters; return how many had one."""
        return self._connection.execute(self._sql["redact"], {"ids": list(ids)}).rowcount

    def resolve(self, ids: Sequence[int], state: State, by: str) -> None:
        self._connection.execute(self._sql["resolve"], {"ids": list(ids), "state": state.value, "by": by})


def _cause(row: tuple[Any, ...]) -> Cause:
    return Cause(
        cause=row[0],
        kind=row[1],
        route=row[2],
        error_class=row[3],
        described=cause_text(parted(row[4])[0]),
        parked=row[5],
        keys=row[6],
        first=row[7],
        last=row[8],
        topics=tuple(row[9]),
        example=row[10],
    )


def _letter(row: tuple[Any, ...]) -> Letter:
    error, cut = parted(row[14])
    record = KeptRecord((row[5], row[7], row[8]), row[12], row[21], _headers(row[22]), timestamp_at(row[9]))
    original = None
    if row[25] is not None:
        original = replace(record, kept_value=row[27], kept_headers=_headers(row[28]))
    return Letter(
        dead_letter_id=row[0],
        state=State(row[1]),
        route_id=row[2],
        route=row[3],
        partition_id=row[4],
        topic_id=row[6],
        event_id=row[10].bytes if row[10] else None,
        type=row[11],
        error_class=row[13],
        error=error,
        attempts=row[15],
        created_at=row[16],
        updated_at=row[17],
        resolved_at=row[18],
        resolved_by=row[19],
        record=record,
        cause=row[20] or (cause_id(row[2], row[13], row[14]) if row[1] == State.PARKED else None),
        error_detail=cut if row[23] is None else row[23],
        has_detail=row[24] or cut is not None,
        edited_at=row[25],
        edited_by=row[26],
        original=original,
        redacted_at=row[29],
        payload_hash=None if row[30] is None else row[30].to_bytes(8, "big", signed=True),
    )


def _headers(pairs: list[Any] | None) -> list[Header]:
    return [_header(pair) for pair in pairs or []]


def _header(pair: list[Any]) -> Header:
    name, value = pair
    return name, None if value is None else b64decode(value)
