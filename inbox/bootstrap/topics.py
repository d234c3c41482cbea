"""The comparison of the ledger with the log: it finds topics, compares logs and sets the first offsets."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime

from inbox.errors import (
    HaltError,
    InboxError,
    LostOffsetError,
    StartupError,
    TryAgainError,
    UnreadableError,
    refusals_as_outages,
)
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicView
from inbox.kafka.log.stretch import readable_from
from inbox.reading.options import Truncates
from inbox.settings import Settings
from inbox.sink.guards.log_check import mismatches, truncated
from inbox.sink.guards.log_check import resume_command as resume_command
from inbox.sink.guards.log_comparison import Comparable, read_comparable
from inbox.sink.routes import HandlerTarget, Route, StartPoint
from inbox.store.inbox.ledger import KnownPartition, Ledger
from inbox.store.inbox.registration import Registration, RouteIdentity, SinkIdentity
from inbox.store.postgres.connection import connect
from inbox.store.store import Store


def find_topics(cluster: Cluster, routes: Sequence[Route]) -> Mapping[str, TopicView]:
    """Return the topics of the routes; raise StartupError if the cluster does not have one of them."""
    wanted = wanted_topics(routes)
    found = cluster.topics(wanted)
    if absent := [topic for topic in wanted if topic not in found]:
        raise StartupError(no_topic(", ".join(absent)))
    if problems := list(unordered_truncates(routes, found)):
        raise StartupError("\n".join(problems))
    return found


def unordered_truncates(routes: Sequence[Route], topics: Mapping[str, TopicView]) -> Iterator[str]:
    """Yield a sentence for each route whose truncates may pass the changes around them: a truncate has no key."""
    for route in routes:
        if route.truncates is not Truncates.APPLY or isinstance(route.target, HandlerTarget):
            continue
        for name in route.topics:
            if name in topics and len(topics[name].partitions) > 1:
                yield (
                    f'route {route.name}: truncates = "apply" needs a topic with one partition, and {name} has '
                    f"{len(topics[name].partitions)}: a truncate comes without a key, in any of them, and would remove "
                    "rows of later changes; set truncates to ignore or error"
                )


def wanted_topics(routes: Sequence[Route]) -> list[str]:
    """Return every topic that a route names, once."""
    return sorted({topic for route in routes for topic in route.topics})


def no_topic(names: str) -> str:
    """Return the sentence about topics that do not exist."""
    return f"the cluster has no topic {names} (or this user may not see it); create it, or correct [[routes]] topic"


def sink_identity(settings: Settings, cluster_id: str) -> SinkIdentity:
    """Return the identity that the database remembers of this sink."""
    return SinkIdentity(
        name=settings.sink.name,
        group_id=settings.kafka.group_id,
        cluster_id=cluster_id,
        routes=tuple(RouteIdentity(route.name, route.topics, route.event_id) for route in settings.routes),
        retired_routes=settings.sink.retired_routes,
    )


def register_sink(
    store: Store, settings: Settings, cluster: Cluster, cluster_id: str, topics: Mapping[str, TopicView]
) -> Registration:
    """Bind the schema to this sink, and give every partition its first offset."""

    def add_partitions() -> None:
        found = read_comparable(cluster, cluster_id, sorted(topics), store.ledger.known)
        if absent := sorted(set(topics) - set(found)):
            raise StartupError(no_topic(", ".join(absent)))
        for each in found.values():
            store.ledger.add(cluster_id, each.log.topic_id, first_offsets(each, cluster, settings.sink.start))

    return store.register.bind(sink_identity(settings, cluster_id), add_partitions)


def introduce(ledger: Ledger, cluster: Cluster, partitions: Sequence[TopicPartition]) -> None:
    """Give partitions that were added while the sink runs the log start as their first offset.

    Any later offset would lose their first events.

    Raises:
        TryAgainError: the brokers do not answer, or refuse, which after the start is an outage like
            any other.
        HaltError: the topic is no longer the one that the ledger speaks of.
    """
    with refusals_as_outages(away="kafka", reason="refused"):
        cluster_id, topics = cluster.cluster_id(), sorted({partition.topic for partition in partitions})
        found = read_comparable(cluster, cluster_id, topics, ledger.known)
    for each in found.values():
        _refuse_other_log(each)
    if unknown := [at for at in partitions if at.topic not in found or at not in found[at.topic].log.starts]:
        raise TryAgainError(
            f"the brokers do not name {', '.join(map(str, unknown))} yet", away="kafka", reason="leader"
        )
    for each in found.values():
        here = {address: each.log.starts[address] for address in partitions if address in each.log.starts}
        ledger.add(cluster_id, each.log.topic_id, here)


def first_offsets(found: Comparable, cluster: Cluster, start: StartPoint | datetime) -> dict[TopicPartition, int]:
    """Return the first offset of each partition that the ledger does not know yet. Nothing is changed.

    Raises:
        StartupError: `[sink] start` forbids to choose an offset.
        HaltError: the log is no longer the one that the ledger speaks of.
    """
    _refuse_other_log(found)
    fresh = [address for address in found.log.starts if address not in {each.address for each in found.known}]
    # A partition added to a known topic starts at the log start, or its first events would be lost.
    return _starts(cluster, fresh, StartPoint.EARLIEST if found.known else start)


def _starts(
    cluster: Cluster, partitions: Sequence[TopicPartition], start: StartPoint | datetime
) -> dict[TopicPartition, int]:
    if not partitions:
        return {}
    match start:
        case StartPoint.FAIL:
            raise StartupError(
                f'the ledger lacks {", ".join(map(str, partitions))}, and [sink] start is "fail"; say where '
                "to start: earliest, latest, group or a time"
            )
        case StartPoint.LATEST:
            return cluster.stable_ends(partitions)
        case StartPoint.GROUP:
            return _starts_of_group(cluster, partitions)
        case StartPoint.EARLIEST:
            return cluster.log_starts(partitions)
        case datetime():
            return cluster.offsets_at(partitions, start)


def _starts_of_group(cluster: Cluster, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
    if members := cluster.foreign_members():
        # Wait: a consumer that was killed leaves the group within its session timeout.
        raise TryAgainError(
            f'group {cluster.group_id} has other consumers ({members}), and [sink] start = "group" continues where '
            "they stop; stop them first, or what they take meanwhile is applied again",
            away="kafka",
            reason="group",
        )
    starts = cluster.log_starts(partitions)
    committed = cluster.group_offsets(partitions)
    return starts_of_group(cluster.group_id, committed, LogExtent(starts, cluster.stable_ends(partitions)))


@dataclass(frozen=True)
class LogExtent:
    """The log start and the last stable offset of partitions."""

    starts: Mapping[TopicPartition, int]
    ends: Mapping[TopicPartition, int]


def starts_of_group(
    group_id: str, committed: Mapping[TopicPartition, int], log: LogExtent
) -> dict[TopicPartition, int]:
    """Return the offset at which the group stopped, for each partition.

    An empty partition has nothing to lose, so it needs no committed offset.

    Raises:
        StartupError: a partition holds events and the group has committed no offset for it, or the
            log does not have the committed offset.
    """
    problems = []
    starts = {}
    for at, start in sorted(log.starts.items()):
        end, offset = log.ends[at], committed.get(at)
        starts[at] = start if offset is None else offset
        if offset is None and start < end:
            problems.append(f"group {group_id} has committed no offset for {at}, which holds {start} up to {end}")
        elif offset is not None and not start <= offset <= end:
            problems.append(f"group {group_id} has committed offset {offset} for {at}, which holds {start} up to {end}")
    if problems:
        raise StartupError(
            "\n".join(problems) + f'\n[sink] start = "group" does not guess; commit where to begin with '
            f"`kafka-consumer-groups --reset-offsets --group {group_id} ...`, or choose earliest, latest or a time"
        )
    return starts


def _refuse_other_log(found: Comparable) -> None:
    if lines := mismatches(found.known, found.log):
        raise HaltError("\n".join(lines))


class Explanation:
    """An explanation of a changed log for a running sink, in the words of a start.

    It is made from the ledger and the brokers as they are now.
    """

    def __init__(self, settings: Settings, cluster: Cluster) -> None:
        self._settings = settings
        self._cluster = cluster

    def of_topics(self, topics: Collection[str]) -> HaltError | None:
        """Return the halt that explains how the ledger and the logs of the topics differ, or None if they fit.

        Raises:
            InboxError: the database or the brokers do not answer.
        """
        found = read_comparable(self._cluster, self._cluster.cluster_id(), sorted(topics), self._known)
        lines = [line for each in found.values() for line in mismatches(each.known, each.log)]
        return HaltError("\n".join(lines)) if lines else None

    def of_halt(self, error: LostOffsetError | UnreadableError) -> HaltError:
        """Return a halt that explains more, or the error itself if no more can be said."""
        return self.of_unreadable(error) if isinstance(error, UnreadableError) else self.of_lost_offset(error)

    def of_unreadable(self, error: UnreadableError) -> HaltError:
        """Return the error with the command that continues where the log can be read again."""
        if error.at is None or error.gap is not None:
            return error
        at = TopicPartition(*error.at)
        try:
            end = self._cluster.stable_ends([at])[at]
            following = readable_from(self._settings.kafka, at, error.offset, end)
        except InboxError:
            return error
        command = resume_command(f"{at.topic}:{at.partition}", f"--from-offset {following}")
        return HaltError(f"{error}; the log can be read again from {following} on: {command}")

    def of_lost_offset(self, error: LostOffsetError) -> HaltError:
        """Return a halt that explains more, or the error itself if no more can be said."""
        if error.at is None:
            return error
        at = TopicPartition(*error.at)
        try:
            return self._of_truncation(at, error.agrees_until) or self.of_topics([at.topic]) or error
        except InboxError:
            return error

    def _of_truncation(self, at: TopicPartition, agrees_until: int | None) -> HaltError | None:
        if agrees_until is None or self.of_topics([at.topic]) is not None:
            return None
        known = [each for each in self._known([at.topic]) if each.address == at]
        end = self._cluster.stable_ends([at])[at]
        return HaltError(truncated(known[0], agrees_until, end)) if known else None

    def _known(self, topics: Collection[str]) -> Sequence[KnownPartition]:
        database = self._settings.database
        with closing(connect(database, application_name="inbox halting")) as connection:
            return Ledger(connection, database.schema).known(list(topics))
