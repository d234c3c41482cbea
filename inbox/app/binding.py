"""Where the ledger meets the log: topics found, logs compared, first offsets given."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from inbox.errors import HaltError, StartupError, TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicView
from inbox.settings import Settings
from inbox.sink.routes import Route, StartPoint
from inbox.store.database import SinkConnection
from inbox.store.ledger import KnownPartition, Ledger
from inbox.store.registration import Register, Registration, RouteIdentity, SinkIdentity


def find_topics(cluster: Cluster, routes: Sequence[Route]) -> Mapping[str, TopicView]:
    """Raises StartupError where a route names a topic that the cluster does not have."""
    wanted = wanted_topics(routes)
    found = cluster.topics(wanted)
    if absent := [topic for topic in wanted if topic not in found]:
        raise StartupError(no_topic(", ".join(absent)))
    return found


def wanted_topics(routes: Sequence[Route]) -> list[str]:
    """Every topic that a route names, once."""
    return sorted({topic for route in routes for topic in route.topics})


def no_topic(names: str) -> str:
    """The sentence about topics that are not there."""
    return f"the cluster has no topic {names} (or this user may not see it); create it, or correct [[routes]] topic"


def sink_identity(settings: Settings, cluster_id: str) -> SinkIdentity:
    """What the database remembers of this sink."""
    return SinkIdentity(
        name=settings.sink.name,
        group_id=settings.kafka.group_id,
        cluster_id=cluster_id,
        routes=tuple(RouteIdentity(route.name, route.topics, route.event_id) for route in settings.routes),
        retired_routes=settings.sink.retired_routes,
    )


def register(
    connection: SinkConnection, settings: Settings, cluster: Cluster, cluster_id: str, topics: Mapping[str, TopicView]
) -> Registration:
    """Bind the schema to this sink, and give every partition its first offset."""
    ledger = Ledger(settings.database.schema)

    def add_partitions(locked: SinkConnection) -> None:
        for view in topics.values():
            known = ledger.known(locked, [view.name])
            starts = first_offsets(known, view, cluster, settings.sink.start)
            ledger.add(locked, cluster_id, view.topic_id, starts)

    return Register(settings.database.schema).bind(connection, sink_identity(settings, cluster_id), add_partitions)


def introduce(connection: SinkConnection, schema: str, cluster: Cluster, partitions: Sequence[TopicPartition]) -> None:
    """Partitions added while the sink runs start at the log start, or their first events would be lost.

    Raises:
        TryAgainError: the brokers do not answer, or refuse, which after the start is an outage like any other.
    """
    try:
        cluster_id = cluster.cluster_id()
        starts = cluster.log_starts(partitions)
        views = cluster.topics(sorted({partition.topic for partition in partitions}))
    except StartupError as error:
        raise TryAgainError(str(error), away="kafka", reason="refused", alert=True) from error
    for view in views.values():
        here = {address: start for address, start in starts.items() if address.topic == view.name}
        Ledger(schema).add(connection, cluster_id, view.topic_id, here)


def first_offsets(
    known: Sequence[KnownPartition], view: TopicView, cluster: Cluster, start: StartPoint | datetime
) -> dict[TopicPartition, int]:
    """The offset at which each partition starts that the ledger does not know yet; changes nothing.

    Raises:
        StartupError: `[sink] start` forbids to choose one.
        HaltError: the log is no longer the one that the ledger speaks of.
    """
    _refuse_other_log(known, view, cluster)
    fresh = [address for address in view.addresses() if address not in {each.address for each in known}]
    # A partition added to a topic that is known starts at the log start, or its first events would be lost.
    return _starts(cluster, fresh, StartPoint.EARLIEST if known else start)


def _starts(
    cluster: Cluster, partitions: Sequence[TopicPartition], start: StartPoint | datetime
) -> dict[TopicPartition, int]:
    if not partitions:
        return {}
    match start:
        case StartPoint.FAIL:
            raise StartupError(
                f'{", ".join(map(str, partitions))} has no place in the ledger and [sink] start is "fail"; say where '
                "to start: earliest, latest, group or a time"
            )
        case StartPoint.LATEST:
            return cluster.stable_ends(partitions)
        case StartPoint.GROUP:
            return {**cluster.log_starts(partitions), **cluster.group_offsets(partitions)}
        case StartPoint.EARLIEST:
            return cluster.log_starts(partitions)
        case datetime():
            return cluster.offsets_at(partitions, start)


def _refuse_other_log(known: Sequence[KnownPartition], view: TopicView, cluster: Cluster) -> None:
    """Raises HaltError with a line for each partition whose log is no longer the one that the ledger speaks of."""
    for each in known:
        if each.topic_id is not None and view.topic_id is not None and each.topic_id != view.topic_id:
            raise HaltError(
                f"topic {view.name} was deleted and made again: the ledger knows it as {each.topic_id}, the cluster as "
                f"{view.topic_id}; decide with `inbox resume --topic {view.name} --new-topic`"
            )
    here = set(view.addresses())
    if gone := [str(each.address) for each in known if each.address not in here]:
        raise HaltError(
            f"the ledger knows {', '.join(gone)}, which the cluster no longer has; "
            f"decide with `inbox resume --topic {view.name} --new-topic`"
        )
    addresses = [each.address for each in known]
    starts, ends = cluster.log_starts(addresses), cluster.stable_ends(addresses)
    outside = [each for each in known if not starts[each.address] <= each.next_offset <= ends[each.address]]
    if outside:
        raise HaltError("\n".join(_outside(each, starts[each.address], ends[each.address]) for each in outside))


def _outside(known: KnownPartition, start: int, end: int) -> str:
    address = known.address
    return (
        f"the ledger expects {address}@{known.next_offset} next, but the log holds offsets {start} up to {end}; "
        f"decide with `inbox resume --topic {address.topic}:{address.partition}`"
    )
