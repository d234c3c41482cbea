"""The settings of a route that say how its values are read."""

from dataclasses import dataclass
from enum import StrEnum


class Envelope(StrEnum):
    """The envelope in which the values of a route arrive."""

    NONE = "none"
    DEBEZIUM = "debezium"
    CLOUDEVENTS = "cloudevents"


class Truncates(StrEnum):
    """The treatment of a change event that says that the whole source table was emptied."""

    ERROR = "error"
    IGNORE = "ignore"
    APPLY = "apply"


@dataclass(frozen=True, kw_only=True)
class ReadOptions:
    """The options of one route.

    Attributes:
        keeps_row: whether the decoded row is kept for a handler.
        needs_row: whether the id, the type or a column is read from the row.
        by_position: whether the event's id is made of the source position.
    """

    envelope: Envelope = Envelope.NONE
    truncates: Truncates = Truncates.ERROR
    keeps_row: bool = False
    needs_row: bool = True
    by_position: bool = False
