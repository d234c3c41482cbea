"""Examine a stretch of a log outside the group: what it holds, and where it can be read again.

Facts about librdkafka that this module rests on:

- It delivers no control records and, under `read_committed`, no aborted records, and it does not report control
  records. But its statistics count both the records and the control records that it fetched (`rxmsgs`) and say up to
  which offset (`next_offset`): under `read_uncommitted` the two agree exactly if the log has something at every offset.
- The two figures are taken at different moments, so a pair counts only if the pair before was the same.
- `max.partition.fetch.bytes=1` makes the broker send one batch at a time (KIP-74): hardly more is read than asked for.
- A batch of an unknown format is reported only if it is read from its first offset on. If the reading begins in its
  middle, the batch is fetched again and again without a report.
"""

import time
from array import array
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import orjson
from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.errors import LostOffsetError, TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.clients import made
from inbox.kafka.consumer_properties import reader_properties
from inbox.kafka.errors import KafkaConsequence, is_unreadable, meaning_of, translate, unreadable
from inbox.kafka.options import KafkaOptions
from inbox.kafka.tokens import token_properties

_BATCH_BYTES = 1 << 20
_STATISTICS_MILLISECONDS = 50
_QUIET_SECONDS = 0.15
_POLL_SECONDS = 0.05
_SILENT_SECONDS = 1.5
_AHEAD_SECONDS = 1.0
"""How long to read ahead: events may be large, and the offsets ahead are not needed."""
_AT_MOST_AT_ONCE = 2000
_ONE_BATCH = {"fetch.message.max.bytes": "1"}
_UNCOMMITTED = {"isolation.level": "read_uncommitted"}
_MANY = 1000
"""Offsets; a longer stretch is not read batch by batch, unless something is missing in it."""


class Stretch(NamedTuple):
    """The contents of the log up to `until_offset`.

    `empty` counts the offsets that hold neither a record, committed or not, nor a control record. `committed`
    are the offsets of committed records, in order.
    """

    empty: int
    until_offset: int
    committed: Sequence[int]

    def holds_committed(self, from_offset: int, until_offset: int) -> bool:
        """Return whether a committed record stands between the offsets."""
        return bisect_left(self.committed, from_offset) < bisect_left(self.committed, until_offset)


def look_at(
    options: KafkaOptions,
    at: TopicPartition,
    from_offset: int,
    until_offset: int,
    *,
    ahead: int = 0,
    seconds: float = 20.0,
) -> Stretch:
    """Read a stretch of the log once more, and up to `ahead` further offsets as far as the log and the time allow.

    Without `ahead`, hardly more is read than asked for: the rest of one batch.

    Raises:
        UnreadableError: something there cannot be read.
        LostOffsetError: the log no longer reaches back to `from_offset`.
        TryAgainError: the brokers do not answer within the time.
    """
    deadline = time.monotonic() + seconds
    empty, reached, records = _count(options, at, from_offset, until_offset, ahead, deadline)
    if not ahead and not any(offset < until_offset for offset in records):
        return Stretch(empty, until_offset, ())
    fetching = {} if _quickly(from_offset, until_offset, ahead) else _ONE_BATCH
    with _StretchReader(options, deadline, fetching) as look:
        following, committed = look.read(at, from_offset, until_offset, ahead)
    return Stretch(empty, min(reached, following) if ahead else until_offset, committed)


def count_in(
    options: KafkaOptions, at: TopicPartition, from_offset: int, until_offset: int, *, seconds: float = 20.0
) -> int:
    """Return how many offsets of a stretch hold neither a record, committed or not, nor a control record.

    Raises:
        as `look_at`.
    """
    return _count(options, at, from_offset, until_offset, 0, time.monotonic() + seconds)[0]


def committed_in(
    options: KafkaOptions, at: TopicPartition, from_offset: int, until_offset: int, *, seconds: float = 20.0
) -> Sequence[int]:
    """Return the offsets of committed records from `from_offset` up to `until_offset`, or slightly beyond it.

    Raises:
        as `look_at`.
    """
    with _StretchReader(options, time.monotonic() + seconds, {}) as look:
        return look.read(at, from_offset, until_offset, 0)[1]


def _count(
    options: KafkaOptions, at: TopicPartition, from_offset: int, until_offset: int, ahead: int, deadline: float
) -> tuple[int, int, Sequence[int]]:
    quickly = _quickly(from_offset, until_offset, ahead)
    with _StretchReader(options, deadline, {**({} if quickly else _ONE_BATCH), **_UNCOMMITTED}) as look:
        found = look.count(at, from_offset, until_offset, ahead)
    if quickly and found[0] and not ahead:
        # The missing offsets may lie behind the stretch.
        with _StretchReader(options, deadline, {**_ONE_BATCH, **_UNCOMMITTED}) as look:
            found = look.count(at, from_offset, until_offset, ahead)
    return found


def _quickly(from_offset: int, until_offset: int, ahead: int) -> bool:
    return ahead > 0 or until_offset - from_offset > _MANY


def readable_from(
    options: KafkaOptions, at: TopicPartition, unreadable: int, end: int, *, seconds: float = 20.0
) -> int:
    """Return the first offset behind an unreadable one from which the log can be read, as far as time allows.

    If the time runs out, the result may be too low. It is never beyond `end`.
    """
    bad, good, step = unreadable, end, 1
    with _StretchReader(options, time.monotonic() + seconds, _ONE_BATCH) as look:
        while bad + step < good and not look.over:
            if look.can_read(at, bad + step):
                good = bad + step
                break
            bad, step = bad + step, step * 2
        while good - bad > 1 and not look.over:
            middle = (bad + good) // 2
            if look.can_read(at, middle):
                good = middle
            else:
                bad = middle
    return good if good - bad == 1 else min(bad + 1, end)


class _StretchReader:
    """A consumer outside the group, for the time that the look takes."""

    def __init__(self, options: KafkaOptions, deadline: float, fetching: Mapping[str, str]) -> None:
        properties: dict[str, Any] = reader_properties(options, batch_bytes=_BATCH_BYTES)
        properties.pop("max.partition.fetch.bytes", None)
        properties |= {"queued.min.messages": "1", "statistics.interval.ms": str(_STATISTICS_MILLISECONDS)}
        properties |= fetching
        self._figures: list[dict[str, Any]] = []
        self._behind: list[DeliveryPoint] = []
        properties |= {"stats_cb": self._note, "error_cb": lambda _: None, **token_properties(options)}
        self._consumer: Any = made(lambda: Consumer(properties))
        self._deadline = deadline

    def __enter__(self) -> "_StretchReader":
        return self

    def __exit__(self, *_: object) -> None:
        self._consumer.close()

    @property
    def over(self) -> bool:
        return time.monotonic() > self._deadline

    def _note(self, text: str) -> None:
        self._figures = [*self._figures[-8:], orjson.loads(text)]

    def read(self, at: TopicPartition, from_offset: int, until_offset: int, ahead: int) -> tuple[int, Sequence[int]]:
        """Return the offset behind what was read, and the offsets of records."""
        self._consumer.assign([KafkaPartition(*at, from_offset)])
        reached, at_end, records = from_offset, False, array("q")
        ahead_until = time.monotonic() + _AHEAD_SECONDS
        while reached < until_offset or (
            reached < until_offset + ahead and not at_end and time.monotonic() < ahead_until
        ):
            self._check_time(at, until_offset)
            first = self._consumer.poll(_POLL_SECONDS)
            messages = [] if first is None else [first, *self._consumer.consume(_AT_MOST_AT_ONCE, 0)]
            for number, message in enumerate(messages, start=1):
                reached, at_end = _point_after(message, at, reached)
                if message.error() is None:
                    records.append(message.offset())
                if reached >= until_offset + ahead:
                    # An unreadable offset behind the last requested offset does not matter.
                    self._behind = [_point_of(each) for each in messages[number:]]
                    break
        return reached, records

    def count(
        self, at: TopicPartition, from_offset: int, until_offset: int, ahead: int
    ) -> tuple[int, int, Sequence[int]]:
        """Return how many offsets hold nothing, the offset up to which this is known, and the offsets of records."""
        _, records = self.read(at, from_offset, until_offset, ahead)
        while (figures := self._settled(at, until_offset)) is None:
            self._check_time(at, until_offset)
            # Nothing is fetched while the queue holds a record, so the figures come to rest.
            time.sleep(_QUIET_SECONDS)
            while (message := self._consumer.poll(0)) is not None:
                self._behind.append(_point_of(message))
        fetched, next_offset = figures
        uncounted = unreadable_offsets(self._behind, next_offset)
        return max(0, next_offset - from_offset - fetched - uncounted), next_offset, records

    def _settled(self, at: TopicPartition, until_offset: int) -> tuple[int, int] | None:
        pairs = [_fetched(figures, at) for figures in self._figures]
        for before, after in pairwise(pairs):
            if before is not None and before == after and before[1] >= until_offset:
                return before
        return None

    def _check_time(self, at: TopicPartition, offset: int) -> None:
        if self.over:
            text = f"the brokers do not say what {at} holds before {offset}"
            raise TryAgainError(text, away="kafka", reason="leader")

    def can_read(self, at: TopicPartition, offset: int) -> bool:
        """Return whether a reader that begins at the offset gets anything before an error, and soon."""
        self._consumer.assign([KafkaPartition(*at, offset)])
        deadline = time.monotonic() + _SILENT_SECONDS
        while time.monotonic() < deadline:
            message = self._consumer.poll(_POLL_SECONDS)
            if message is None:
                continue
            error = message.error()
            if error is None or error.code() == KafkaError._PARTITION_EOF:
                return True
            if meaning_of(error.code()).consequence is not KafkaConsequence.WAIT:
                return False
        return False


class DeliveryPoint(NamedTuple):
    """The offset of a delivery, and whether it reports that nothing can be read there."""

    offset: int
    unreadable: bool


def _point_of(message: Any) -> DeliveryPoint:
    error: KafkaError | None = message.error()
    return DeliveryPoint(message.offset(), error is not None and is_unreadable(error))


def unreadable_offsets(points: Sequence[DeliveryPoint], next_offset: int) -> int:
    """Return how many offsets cannot be read, up to `next_offset`; librdkafka skips them and does not count them."""
    found, bad = 0, None
    for point in points:
        if point.unreadable:
            bad = point.offset if bad is None else bad
        elif bad is not None:
            found += max(0, min(point.offset, next_offset) - bad)
            bad = None
    return found if bad is None else found + max(0, next_offset - bad)


def _point_after(message: Any, at: TopicPartition, reached: int) -> tuple[int, bool]:
    """Return the offset behind the delivery, and whether that is the end of the log."""
    error: KafkaError | None = message.error()
    if error is None:
        return int(message.offset()) + 1, False
    if error.code() == KafkaError._PARTITION_EOF:
        return int(message.offset()), True
    raise_unless_passing(error, at, max(reached, message.offset() or 0))
    return reached, False


def raise_unless_passing(error: KafkaError, at: TopicPartition, offset: int) -> None:
    """Raise the error for an offset of the log, unless waiting helps against it."""
    if is_unreadable(error):
        raise unreadable(error, at, offset)
    failure = translate(error, f"reading {at}@{offset}")
    if isinstance(failure, TryAgainError):
        return
    if isinstance(failure, LostOffsetError):
        failure.at = at
    raise failure


def _fetched(figures: dict[str, Any], at: TopicPartition) -> tuple[int, int] | None:
    partition = figures.get("topics", {}).get(at.topic, {}).get("partitions", {}).get(str(at.partition))
    return None if partition is None else (partition["rxmsgs"], partition["next_offset"])
