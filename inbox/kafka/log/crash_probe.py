"""Read the log at given offsets in a child process, since librdkafka may abort the process when it reads damaged bytes.

Behind a batch whose CRC is wrong, librdkafka's parser may fail an assertion, which is SIGABRT. To see whether an
offset does that, a child reads from there with the same properties, and its parent looks at how the child ends.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from confluent_kafka import Consumer, KafkaError
from confluent_kafka import TopicPartition as KafkaPartition

from inbox.events import TopicPartition
from inbox.kafka.consumer_properties import reader_properties
from inbox.kafka.options import KafkaOptions
from inbox.kafka.tokens import token_source

_ANSWER_SECONDS = 5.0
_AHEAD_SECONDS = 2.0
"""How long a child continues to read: the batch that ends the process may come with a later answer than the first."""
_GRACE_SECONDS = 20.0
_SEARCH_SECONDS = 60.0
_POLL_SECONDS = 0.1
_ONE_BATCH = {"max.partition.fetch.bytes": "1"}


class Deadly(NamedTuple):
    """A batch at which librdkafka ends the process, and the first offset from which the log can be read again."""

    at: TopicPartition
    offset: int
    following: int


class _End(NamedTuple):
    """The end of a child: whether it aborted, and the offset up to which it had read."""

    aborted: bool
    reached: int | None


def find_deadly(
    options: KafkaOptions,
    positions: Mapping[TopicPartition, int],
    ends: Mapping[TopicPartition, int],
    *,
    batch_bytes: int,
) -> Deadly | None:
    """Return the batch at which librdkafka aborts a reader of one of these offsets, or None if all can be read.

    Takes about three seconds at most if nothing is wrong: one child reads from all of them.
    """
    search = _Search(reader_properties(options, batch_bytes=batch_bytes), options.credential)
    at = search.deadly_of(list(positions.items()))
    if at is None:
        return None
    offset = search.offset_of(at, positions[at])
    return Deadly(at, offset, search.readable_from(at, offset, ends[at]))


class _Search:
    """A search by children that read with the same properties, one after the other."""

    def __init__(self, properties: Mapping[str, str], credential: str | None) -> None:
        self._properties = properties
        self._credential = credential
        self._deadline = time.monotonic() + _SEARCH_SECONDS

    def deadly_of(self, positions: Sequence[tuple[TopicPartition, int]]) -> TopicPartition | None:
        if not positions or not self._read(positions, ahead=_AHEAD_SECONDS).aborted:
            return None
        while len(positions) > 1:
            half = positions[: len(positions) // 2]
            positions = half if self._read(half, ahead=_AHEAD_SECONDS).aborted else positions[len(half) :]
        return positions[0][0]

    def offset_of(self, at: TopicPartition, offset: int) -> int:
        """Return the offset of the deadly batch, which a child approaches batch by batch."""
        reached = self._read([(at, offset)], fetching=_ONE_BATCH, ahead=_ANSWER_SECONDS).reached
        return offset if reached is None else reached

    def readable_from(self, at: TopicPartition, bad: int, end: int) -> int:
        good, step = end, 1
        while bad + step < good and time.monotonic() < self._deadline:
            if self._can_read(at, bad + step):
                good = bad + step
                break
            bad, step = bad + step, step * 2
        while good - bad > 1 and time.monotonic() < self._deadline:
            middle = (bad + good) // 2
            bad, good = (bad, middle) if self._can_read(at, middle) else (middle, good)
        return good

    def _can_read(self, at: TopicPartition, offset: int) -> bool:
        end = self._read([(at, offset)])
        return not end.aborted and end.reached is not None

    def _read(
        self,
        positions: Sequence[tuple[TopicPartition, int]],
        *,
        fetching: Mapping[str, str] | None = None,
        ahead: float = 0.0,
    ) -> _End:
        task = {
            "properties": {**self._properties, **(fetching or {})},
            "credential": self._credential,
            "positions": [[*at, offset] for at, offset in positions],
            "ahead": ahead,
        }
        # The properties hold passwords, so they go through standard input and not the command line.
        try:
            child = subprocess.run(
                [sys.executable, "-P", "-m", "inbox.kafka.log.crash_probe"],
                input=json.dumps(task).encode(),
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_ANSWER_SECONDS + _GRACE_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return _End(aborted=False, reached=None)
        lines = child.stdout.split()
        return _End(aborted=child.returncode == -signal.SIGABRT, reached=int(lines[-1]) if lines else None)


def _read_offsets(task: Mapping[str, Any]) -> None:
    """Read in the child until each partition delivered something, then for `ahead` seconds.

    Prints the offset behind each event.
    """
    tokens = {} if task["credential"] is None else token_source(task["credential"], task["properties"])
    consumer: Any = Consumer({**task["properties"], **tokens, "error_cb": lambda _: None})
    consumer.assign([KafkaPartition(*position) for position in task["positions"]])
    missing, ahead, began = {(topic, partition) for topic, partition, _ in task["positions"]}, task["ahead"], False
    deadline = time.monotonic() + _ANSWER_SECONDS
    while missing and time.monotonic() < deadline:
        message = consumer.poll(_POLL_SECONDS)
        if message is None or message.topic() is None:
            continue
        if ahead and not began:
            began, deadline = True, time.monotonic() + ahead
        error, at_end = message.error(), False
        if error is not None:
            at_end = error.code() == KafkaError._PARTITION_EOF
        if error is None or at_end:
            sys.stdout.write(f"{message.offset() + (error is None)}\n")
            sys.stdout.flush()
        # A reported error may come just before the batch that aborts, so wait for that batch.
        if at_end or not ahead:
            missing.discard((message.topic(), message.partition()))
    os._exit(0)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _read_offsets(json.loads(sys.stdin.buffer.read()))
