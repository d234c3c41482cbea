"""Read the ledger and the logs of its topics, so that they can be compared while a sink runs.

A log's start, the ledger's next offset and the log's end only grow, and at every moment they are in
this order. They are read in the same order. So whatever moves between the reads, the start that was
read is never above the next offset, and the next offset is never above the end, unless the log is a
different one.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from inbox.events import TopicPartition
from inbox.kafka.cluster import Cluster, TopicView
from inbox.sink.guards.log_check import LogView
from inbox.store.inbox.ledger import KnownPartition

_Offsets = Mapping[TopicPartition, int]


class Comparable(NamedTuple):
    """The ledger's rows of a topic, with the log as it was when they were read."""

    known: Sequence[KnownPartition]
    log: LogView


def read_comparable(
    cluster: Cluster,
    cluster_id: str,
    topics: Sequence[str],
    read_ledger: Callable[[Sequence[str]], Sequence[KnownPartition]],
) -> dict[str, Comparable]:
    """Return the ledger's rows and the log of each topic that exists.

    Raises:
        StartupError: the brokers refuse the request.
        TryAgainError: the brokers do not answer.
        InboxError: whatever `read_ledger` raises.
    """
    before = cluster.topics(topics)
    starts = cluster.log_starts([at for view in before.values() for at in view.addresses()])
    known = read_ledger(topics)
    views = cluster.topics(topics)
    addresses = [at for view in views.values() for at in view.addresses()]
    if {each.address for each in known} & set(addresses) - set(starts):
        # A partition was added to the topic and the ledger meanwhile. Its start must be read before its row.
        return read_comparable(cluster, cluster_id, topics, read_ledger)
    starts |= cluster.log_starts([at for at in addresses if at not in starts])
    ends = cluster.stable_ends(addresses)
    return {
        name: Comparable([each for each in known if each.address.topic == name], _log(view, cluster_id, starts, ends))
        for name, view in views.items()
    }


def _log(view: TopicView, cluster_id: str, starts: _Offsets, ends: _Offsets) -> LogView:
    addresses = view.addresses()
    return LogView(
        cluster_id=cluster_id,
        topic_id=view.topic_id,
        starts={at: starts[at] for at in addresses},
        ends={at: ends[at] for at in addresses},
    )
