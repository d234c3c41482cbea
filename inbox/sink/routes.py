"""A route: the named way from topics to one handler or one table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inbox.store.options import TableTarget


@dataclass(frozen=True, kw_only=True)
class HandlerTarget:
    """A name in the entry-point group `inbox.handlers`."""

    entry_point: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """One `[[routes]]` entry.

    `event_id` is `auto`, `header:NAME`, `key`, `value:/json/pointer` or `coordinates`; `event_type` is
    `header:NAME` or `value:/json/pointer`, and None where no type is read. `types` empty: every type.
    """

    name: str
    topics: tuple[str, ...]
    target: HandlerTarget | TableTarget
    event_id: str = "auto"
    event_type: str | None = None
    types: frozenset[str] = frozenset()
    format: str = "json"


class StartPoint(StrEnum):
    """Where a partition seen for the first time starts."""

    EARLIEST = "earliest"
    LATEST = "latest"
    GROUP = "group"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class SinkOptions:
    """`[sink]`: `start` is a StartPoint or an aware datetime; `retired_routes` were here once and may go.

    Topics that are `once_compacted` have gaps that no setting of theirs explains any more.
    """

    name: str
    start: StartPoint | datetime = StartPoint.EARLIEST
    batch_events: int = 5000
    batch_bytes: int = 16 * 1024 * 1024
    largest_event: int = 32 * 1024 * 1024
    retired_routes: tuple[str, ...] = ()
    once_compacted: tuple[str, ...] = ()
