"""Read some records of a topic, without joining its group."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches

from inbox.errors import StartupError
from inbox.events import Record, TopicPartition
from inbox.kafka.cluster import Cluster
from inbox.kafka.log.reader import LogReader
from inbox.kafka.options import KafkaOptions

_BATCH_BYTES = 8 * 1024 * 1024
_PATIENCE_SECONDS = 20.0


@dataclass(frozen=True)
class LogSample:
    """A sample of the records of a topic.

    Attributes:
        records: the oldest and the newest of each partition, in the order of the log.
        total: how many offsets the log has.
    """

    records: list[Record]
    total: int


def sample_of(options: KafkaOptions, topic: str, count: int) -> LogSample:
    """Read up to `count` records: the oldest and the newest ones of each partition, in equal numbers.

    Raises:
        StartupError: the topic does not exist, with the name that is nearest; or a right is missing.
        TryAgainError: the brokers do not answer.
    """
    cluster = Cluster(options)
    cluster.cluster_id()
    found = cluster.topics([topic])
    if topic not in found:
        raise StartupError(f'the topic "{topic}" does not exist{_hint(topic, cluster.topic_names())}')
    addresses = found[topic].addresses()
    starts, ends = cluster.log_starts(addresses), cluster.stable_ends(addresses)
    spans = {at: range(starts[at], max(starts[at], ends[at])) for at in addresses}
    records: list[Record] = []
    with closing(LogReader(options, batch_bytes=_BATCH_BYTES, patience_seconds=_PATIENCE_SECONDS)) as reader:
        for at, part in _parts(spans, count):
            for piece, _ in reader.read(at, part.start, part.stop):
                records += piece
    return LogSample(records, sum(map(len, spans.values())))


def _parts(spans: dict[TopicPartition, range], count: int) -> Iterator[tuple[TopicPartition, range]]:
    """Yield the stretches to read. A partition that has fewer records than its share leaves them to the next."""
    left = count
    for number, (at, span) in enumerate(sorted(spans.items(), key=lambda each: len(each[1]))):
        share = min(len(span), left // (len(spans) - number))
        left -= share
        if share == len(span):
            yield at, span
        else:
            yield at, span[: (share + 1) // 2]
            yield at, span[len(span) - share // 2 :]


def _hint(topic: str, names: list[str]) -> str:
    near = get_close_matches(topic, names, n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else "; create it, or correct --topic"
