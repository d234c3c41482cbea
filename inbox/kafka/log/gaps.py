"""Decide whether the log may have nothing between two offsets: a gap is accepted only with a reason.

One reason is compaction, which is a setting of the topic. The other is that control records or aborted records
stand there. Reading the stretch once more shows them (`inbox.kafka.log.stretch`), and it also finds committed
records that were not delivered.

A topic with transactions has a gap behind each of them, so results are kept. A gap of one offset is accepted
without another question if the topic is known to have control records. A longer gap is examined together with
the offsets after it, which answers for the gaps to come.
"""

import math
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from inbox.errors import StartupError, TryAgainError, UnreadableError
from inbox.events import TopicPartition
from inbox.kafka.log.stretch import Stretch, committed_in, count_in, look_at
from inbox.kafka.options import KafkaOptions
from inbox.log_lines import log

LOOK_AHEAD = 20_000
"""How many offsets behind a gap are examined with it."""

LONG = 200_000
"""Offsets; a longer gap is examined in pieces of this size, which limits the time of one look."""

AT_A_TIME_SECONDS = 8.0
"""How long a loop with other work examines gaps in one turn."""

_TURN_SECONDS = 0.25
_POLICY_SECONDS = 10.0


class TopicPolicies(Protocol):
    """A source that says which topics are compacted. Implemented by `Cluster`."""

    def compacted(self, topics: Sequence[str]) -> set[str]:
        """Return the compacted ones of these topics; raise StartupError if this user may not know."""
        ...


class LogQueries(Protocol):
    """A view of the log between two offsets, as the functions of `inbox.kafka.log.stretch` give it."""

    def look(self, at: TopicPartition, from_offset: int, until_offset: int, ahead: int) -> Stretch: ...

    def count(self, at: TopicPartition, from_offset: int, until_offset: int) -> int: ...

    def committed_records(self, at: TopicPartition, from_offset: int, until_offset: int) -> Sequence[int]: ...


@dataclass(slots=True)
class _Topic:
    """The known facts about a topic; `compacted` is None if this user may not know."""

    compacted: bool | None = False
    asked_at: float | None = None
    transactional: bool = False
    warned: bool = False


class Gaps:
    """A record of why logs have gaps, which asks the brokers about unknown gaps.

    Topics in `once_compacted` may have a gap anywhere: a person says so, since their setting no longer does.
    After `at_a_time_seconds` in one turn of its caller it raises TryAgainError. The next call continues where
    this one ended.
    """

    def __init__(
        self,
        options: KafkaOptions,
        policies: TopicPolicies,
        *,
        once_compacted: Collection[str] = (),
        at_a_time_seconds: float = math.inf,
        looks: LogQueries | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = policies
        self._once_compacted = frozenset(once_compacted)
        self._log = looks or _BrokerLog(options)
        self._clock = clock
        self._at_a_time = at_a_time_seconds
        self._turn_began = self._looked_at = -math.inf
        self._topics: dict[str, _Topic] = {}
        self._seen: dict[TopicPartition, tuple[int, Stretch]] = {}
        self._counted: dict[TopicPartition, range] = {}

    def require_reason(self, at: TopicPartition, from_offset: int, until_offset: int) -> None:
        """Return only if the log has a reason to hold no committed record at these offsets.

        Raises:
            UnreadableError: something there cannot be read, or the log is empty there without a reason.
            LostOffsetError: the log begins behind `from_offset` by now.
            TryAgainError: the brokers do not answer, or the look takes longer than one turn may.
        """
        if at.topic in self._once_compacted:
            return
        topic = self._topics.setdefault(at.topic, _Topic())
        if topic.compacted or self._was_seen(at, from_offset, until_offset):
            return
        if topic.transactional and until_offset - from_offset == 1:
            return
        self._ask(at.topic, topic)
        if not topic.compacted:
            self._look(at, from_offset, until_offset, topic)

    def _was_seen(self, at: TopicPartition, from_offset: int, until_offset: int) -> bool:
        if at not in self._seen:
            return False
        since, stretch = self._seen[at]
        within = since <= from_offset and until_offset <= stretch.until_offset
        return within and not stretch.holds_committed(from_offset, until_offset)

    def _look(self, at: TopicPartition, from_offset: int, until_offset: int, topic: _Topic) -> None:
        found = self._found(at, from_offset, until_offset, topic)
        if found.holds_committed(from_offset, until_offset):
            text = f"{at}: records from {from_offset} up to {until_offset - 1} were not delivered; they are read again"
            raise TryAgainError(text, away="kafka", reason="delivery", alert=True)
        if not found.empty:
            topic.transactional = True
            self._seen[at] = from_offset, found
            return
        # The topic may have become a compacted one since the last question.
        self._ask(at.topic, topic, again=True)
        if topic.compacted is None:
            self._warn(at, from_offset, until_offset, topic)
        elif not topic.compacted:
            raise without_reason(at, from_offset, until_offset)

    def _found(self, at: TopicPartition, from_offset: int, until_offset: int, topic: _Topic) -> Stretch:
        if until_offset - from_offset > LONG:
            return self._found_in_pieces(at, from_offset, until_offset)
        self._require_time(at, from_offset, until_offset)
        found = self._ahead(at, from_offset, until_offset) if topic.transactional else None
        if found is None or found.empty:
            # The missing or unreadable offsets may lie behind the gap, so examine the gap alone.
            found = self._log.look(at, from_offset, until_offset, 0)
        self._looked_at = self._clock()
        return found

    def _ahead(self, at: TopicPartition, from_offset: int, until_offset: int) -> Stretch | None:
        try:
            return self._log.look(at, from_offset, until_offset, LOOK_AHEAD)
        except UnreadableError:
            return None

    def _found_in_pieces(self, at: TopicPartition, from_offset: int, until_offset: int) -> Stretch:
        """Examine a long gap piece by piece; the pieces that were counted are kept for the next call."""
        counted = self._counted.get(at, range(0))
        reached = counted.stop if counted.start == from_offset else from_offset
        while reached < until_offset:
            self._require_time(at, from_offset, until_offset)
            end = min(reached + LONG, until_offset)
            empty = self._log.count(at, reached, end)
            self._looked_at = self._clock()
            if empty:
                return Stretch(empty, until_offset, ())
            reached = end
            self._counted[at] = range(from_offset, reached)
        self._require_time(at, from_offset, until_offset)
        committed = self._log.committed_records(at, from_offset, until_offset)
        self._looked_at = self._clock()
        self._counted.pop(at, None)
        return Stretch(0, until_offset, committed)

    def _require_time(self, at: TopicPartition, from_offset: int, until_offset: int) -> None:
        """Raise TryAgainError if this turn took too long; looks that follow each other closely belong to one turn."""
        now = self._clock()
        if now - self._looked_at > _TURN_SECONDS:
            self._turn_began = now
        if now - self._turn_began > self._at_a_time:
            text = f"{at}: whether offsets {from_offset} up to {until_offset - 1} hold anything takes longer to see"
            raise TryAgainError(text, away="kafka", reason="gap")

    def _ask(self, name: str, topic: _Topic, *, again: bool = False) -> None:
        now = self._clock()
        if not again and topic.asked_at is not None and now - topic.asked_at < _POLICY_SECONDS:
            return
        try:
            topic.compacted = name in self._policies.compacted([name])
        except StartupError:
            topic.compacted = None
        topic.asked_at = now

    def _warn(self, at: TopicPartition, from_offset: int, until_offset: int, topic: _Topic) -> None:
        """Accept a gap that compaction may explain: stopping a good topic because a right is missing helps nobody."""
        if not topic.warned:
            topic.warned = True
            log().warning(
                "gap-not-examined",
                partition=str(at),
                from_offset=from_offset,
                until_offset=until_offset,
                remedy="grant this user DESCRIBE_CONFIGS on the topic, so that a gap without a reason stops the sink",
            )


class _BrokerLog:
    """A view of the brokers' logs."""

    def __init__(self, options: KafkaOptions) -> None:
        self._options = options

    def look(self, at: TopicPartition, from_offset: int, until_offset: int, ahead: int) -> Stretch:
        return look_at(self._options, at, from_offset, until_offset, ahead=ahead)

    def count(self, at: TopicPartition, from_offset: int, until_offset: int) -> int:
        return count_in(self._options, at, from_offset, until_offset)

    def committed_records(self, at: TopicPartition, from_offset: int, until_offset: int) -> Sequence[int]:
        return committed_in(self._options, at, from_offset, until_offset)


def without_reason(at: TopicPartition, from_offset: int, until_offset: int) -> UnreadableError:
    """Return the error for a gap for which the log has no reason."""
    last = until_offset - 1
    offsets = f"offset {from_offset}" if from_offset == last else f"offsets {from_offset} up to {last}"
    return UnreadableError(
        f"{at}: the log holds nothing at {offsets} and has no reason for the gap: the topic is not compacted, and no "
        "control record or aborted record stands there; if it was compacted once, name it in [sink] once_compacted; "
        "else restore the log from a replica, or give up what is missing with "
        f"`inbox resume --topic {at.topic}:{at.partition} --from-offset {until_offset} --accept-loss`",
        at=at,
        offset=from_offset,
        gap=until_offset,
    )
