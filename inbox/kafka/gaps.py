"""Decides whether the log may have nothing between two offsets: a gap is accepted only with a reason.

A reason is compaction, or that control records and aborted records stand there. The first is a setting of the topic;
the second is seen by reading the stretch once more (`inbox.kafka.look`), which finds committed records too that were
not delivered. A topic with transactions has a gap behind
each of them, so what was found out is kept: one offset is accepted without another question where the topic is known
to have control records, and a longer gap is looked at together with what follows, which answers for the gaps to come.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from inbox.errors import StartupError, TryAgainError, UnreadableError
from inbox.events import TopicPartition
from inbox.kafka.look import Stretch, look_at
from inbox.kafka.options import KafkaOptions
from inbox.telemetry import log

LOOK_AHEAD = 20_000
"""Offsets that are looked at behind a gap."""

_POLICY_SECONDS = 10.0


class TopicPolicies(Protocol):
    """Says which topics are compacted. Implemented by `Cluster`."""

    def compacted(self, topics: Sequence[str]) -> set[str]:
        """Raise StartupError where this user may not know."""
        ...


LookAt = Callable[[TopicPartition, int, int, int], Stretch]
"""What the log holds from one offset up to another and so many ahead, as `look_at`."""


@dataclass(slots=True)
class _Topic:
    """What is known of a topic; `compacted` is None where this user may not know."""

    compacted: bool | None = False
    asked_at: float | None = None
    transactional: bool = False
    warned: bool = False


class Gaps:
    """Knows why logs have gaps, and asks where it does not."""

    def __init__(
        self,
        options: KafkaOptions,
        policies: TopicPolicies,
        *,
        look: LookAt | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._policies = policies
        self._look_at = look or partial(_look_at, options)
        self._clock = clock
        self._topics: dict[str, _Topic] = {}
        self._seen: dict[TopicPartition, tuple[int, Stretch]] = {}

    def require_reason(self, at: TopicPartition, from_offset: int, until_offset: int) -> None:
        """Return where the log has a reason to hold no committed record at these offsets.

        Raises:
            UnreadableError: something there cannot be read, or nothing stands there without a reason.
            LostPlaceError: the log begins behind `from_offset` by now.
            TryAgainError: the brokers do not say.
        """
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
        found = self._look_at(at, from_offset, until_offset, LOOK_AHEAD if topic.transactional else 0)
        if found.empty and topic.transactional:
            # What is missing may be missing further on.
            found = self._look_at(at, from_offset, until_offset, 0)
        if found.holds_committed(from_offset, until_offset):
            text = f"{at}: records from {from_offset} up to {until_offset - 1} were not delivered; they are read again"
            raise TryAgainError(text, away="kafka", reason="delivery", alert=True)
        if not found.empty:
            topic.transactional = True
            self._seen[at] = from_offset, found
        elif topic.compacted is None:
            self._warn(at, from_offset, until_offset, topic)
        else:
            raise without_reason(at, from_offset, until_offset)

    def _ask(self, name: str, topic: _Topic) -> None:
        now = self._clock()
        if topic.asked_at is not None and now - topic.asked_at < _POLICY_SECONDS:
            return
        try:
            topic.compacted = name in self._policies.compacted([name])
        except StartupError:
            topic.compacted = None
        topic.asked_at = now

    def _warn(self, at: TopicPartition, from_offset: int, until_offset: int, topic: _Topic) -> None:
        """Accept what compaction would explain: to stop a good topic for a right that it lacks helps nobody."""
        if not topic.warned:
            topic.warned = True
            log().warning(
                "gap-not-examined",
                partition=str(at),
                from_offset=from_offset,
                until_offset=until_offset,
                remedy="grant this user DESCRIBE_CONFIGS on the topic, so that a gap without a reason stops the sink",
            )


def _look_at(options: KafkaOptions, at: TopicPartition, from_offset: int, until_offset: int, ahead: int) -> Stretch:
    return look_at(options, at, from_offset, until_offset, ahead=ahead)


def without_reason(at: TopicPartition, from_offset: int, until_offset: int) -> UnreadableError:
    """The error that says of a gap that the log has no reason for it."""
    last = until_offset - 1
    offsets = f"offset {from_offset}" if from_offset == last else f"offsets {from_offset} up to {last}"
    return UnreadableError(
        f"{at}: the log holds nothing at {offsets} and has no reason for the gap: the topic is not compacted, and no "
        "control record or aborted record stands there; restore the log from a replica, or give up what is missing "
        f"with `inbox resume --topic {at.topic}:{at.partition} --from-offset {until_offset} --accept-loss`",
        at=at,
        offset=from_offset,
        gap=until_offset,
    )
