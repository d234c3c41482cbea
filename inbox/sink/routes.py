"""Describe a route: the named path from topics to one handler or one table."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from inbox.reading.options import PLAIN_JSON, Envelope, FormatOptions, Truncates
from inbox.store.options import TableTarget

WITHOUT_CLAIMS = "coordinates"
"""The rule for event ids under which a route keeps no claims."""


@dataclass(frozen=True, kw_only=True)
class HandlerTarget:
    """A handler by its name in the entry-point group `inbox.handlers`."""

    entry_point: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """A `[[routes]]` entry of the configuration.

    Attributes:
        event_id: `auto`, `header:NAME`, `key`, `value:/json/pointer`, `coordinates` or `debezium`.
        event_type: `header:NAME` or `value:/json/pointer`, or None if no type is read.
        types: the types that the route takes; empty for every type.
        format: the format of values and keys, with the schema if it is in a file.
        when: the condition on an event that the route takes, in CEL.
        truncates: the treatment of a truncate in Debezium's envelope.
    """

    name: str
    topics: tuple[str, ...]
    target: HandlerTarget | TableTarget
    event_id: str = "auto"
    event_type: str | None = None
    types: frozenset[str] = frozenset()
    format: FormatOptions = PLAIN_JSON
    when: str | None = None
    envelope: Envelope = Envelope.NONE
    truncates: Truncates = Truncates.ERROR

    @property
    def keeps_claims(self) -> bool:
        """Return whether an event is recognised by its id; otherwise the ledger knows what was settled."""
        return self.event_id != WITHOUT_CLAIMS


class StartPoint(StrEnum):
    """The point from which a partition is read that is seen for the first time."""

    EARLIEST = "earliest"
    LATEST = "latest"
    GROUP = "group"
    FAIL = "fail"


@dataclass(frozen=True, kw_only=True)
class SinkOptions:
    """The `[sink]` table of the configuration.

    Attributes:
        start: a StartPoint or an aware datetime.
        batch_bytes, largest_event: sizes in bytes.
        max_events_per_second: the budget of all workers together; None: no limit.
        retired_routes: routes that were configured before and may be removed.
        once_compacted: topics with gaps that none of their current settings explains.
    """

    name: str
    start: StartPoint | datetime = StartPoint.EARLIEST
    batch_events: int = 5000
    batch_bytes: int = 16 * 1024 * 1024
    largest_event: int = 32 * 1024 * 1024
    max_events_per_second: int | None = None
    retired_routes: tuple[str, ...] = ()
    once_compacted: tuple[str, ...] = ()
