"""Compare a log with the ledger, and describe each mismatch in one line. No I/O.

Each line says what was seen. It ends with the command that shows what continuing would cost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from uuid import UUID

from inbox.events import TopicPartition
from inbox.store.inbox.ledger import KnownPartition

_FIGURES_SHOWN = 8


@dataclass(frozen=True, kw_only=True)
class LogView:
    """A topic as its brokers describe it; `topic_id` is None if the brokers have no topic ids.

    `starts` and `ends` are the log start and the last stable offset of each partition.
    """

    cluster_id: str
    topic_id: UUID | None
    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]

    def reaching(self, known: Sequence[KnownPartition]) -> "LogView":
        """Return the log with ends not below the ledger, which may have settled more since the ends were read."""
        settled = {each.address: each.next_offset for each in known}
        return replace(self, ends={at: max(end, settled.get(at, end)) for at, end in self.ends.items()})


def mismatches(known: Sequence[KnownPartition], log: LogView) -> list[str]:
    """Return why continuing with these partitions of one topic could lose or repeat events."""
    if not known:
        return []
    topic = known[0].address.topic
    if moved := [each for each in known if each.cluster_id != log.cluster_id]:
        return [
            f"the ledger has {_figures(moved, log)} of Kafka cluster {moved[0].cluster_id}, but the brokers are of "
            f"cluster {log.cluster_id}; correct [kafka] bootstrap.servers, or, if the cluster was replaced, decide "
            f"with {resume_command(topic, '--new-topic')}"
        ]
    if again := [each for each in known if is_another_topic(each.topic_id, log.topic_id)]:
        return [
            f"topic {topic} was deleted and created again: the ledger has {_figures(again, log)} of topic id "
            f"{again[0].topic_id}, the cluster has topic id {log.topic_id}; decide "
            f"with {resume_command(topic, '--new-topic')}"
        ]
    absent = [each for each in known if each.address not in log.ends]
    if gone := [each for each in absent if each.topic_id is None or each.topic_id != log.topic_id]:
        return [
            f"the ledger has {_figures(gone, log)}, which the cluster no longer has: the topic was recreated; "
            f"decide with {resume_command(topic, '--new-topic')}"
        ]
    # A topic never loses a partition. If this topic lacks one, the broker does not know it yet.
    here = [each for each in known if each.address in log.ends]
    found = (_outside(each, log.starts[each.address], log.ends[each.address]) for each in here)
    return [line for line in found if line is not None]


def is_another_topic(of_ledger: UUID | None, of_cluster: UUID | None) -> bool:
    """Return whether the two topic ids differ. The result is False if either is unknown (brokers before 2.8)."""
    return of_ledger is not None and of_cluster is not None and of_ledger != of_cluster


def truncated(known: KnownPartition, agrees_until: int, end: int) -> str:
    """Return the line for a log that was cut below the ledger and has grown since (KIP-320)."""
    address = known.address
    return (
        f"{address}: the log was truncated at offset {agrees_until}, below the ledger's next offset "
        f"{known.next_offset} (leader epoch {known.leader_epoch}), and ends at {end} by now; decide with "
        f"{resume_command(f'{address.topic}:{address.partition}', f'--from-offset {agrees_until}')}"
    )


def resume_command(where: str, whence: str) -> str:
    """Return the command that shows, and with --execute does, what is needed to continue."""
    return f"`inbox resume --topic {where} {whence} --accept-loss`"


def _outside(known: KnownPartition, start: int, end: int) -> str | None:
    address, following = known.address, known.next_offset
    where, seen = f"{address.topic}:{address.partition}", f"offsets {start} up to {end}"
    if following < start:
        return (
            f"{address}: the ledger expects offset {following} next, but the log holds {seen}: {start - following} "
            "offsets were deleted before they were settled; continue behind them with "
            f"{resume_command(where, '--from-earliest')}"
        )
    if following > end:
        return (
            f"{address}: the ledger expects offset {following} next, but the log holds {seen}: it was truncated, or "
            f"the topic was recreated; decide with {resume_command(where, f'--from-offset {start}')}"
        )
    return None


def _figures(known: Sequence[KnownPartition], log: LogView) -> str:
    """Return `orders[0]@17 (log 0 up to 5)` for each of the first few partitions."""
    shown = [_figure(each, log) for each in sorted(known, key=lambda each: each.address)[:_FIGURES_SHOWN]]
    more = [f"and {len(known) - _FIGURES_SHOWN} more"] if len(known) > _FIGURES_SHOWN else []
    return ", ".join([*shown, *more])


def _figure(known: KnownPartition, log: LogView) -> str:
    address = known.address
    extent = f"log {log.starts[address]} up to {log.ends[address]}" if address in log.ends else "no log"
    return f"{address}@{known.next_offset} ({extent})"
