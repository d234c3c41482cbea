"""What a start found, in order: the parts of a worker come from it."""

from collections.abc import Mapping
from dataclasses import dataclass

from inbox.handlers import LoadedHandler
from inbox.kafka.cluster import Cluster, TopicView
from inbox.store.registration import Registration
from inbox.store.tables import TableWriter


@dataclass(frozen=True)
class Ready:
    """Everything that a start needs; handlers and writers by route, topics by name."""

    handlers: Mapping[str, LoadedHandler]
    writers: Mapping[str, TableWriter]
    cluster: Cluster
    topics: Mapping[str, TopicView]
    registration: Registration
