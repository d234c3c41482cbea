"""Choose who makes the inputs of a route: PostgreSQL decodes the values, or they are decoded before they are sent."""

from collections.abc import Sequence

from inbox.store.options import ColumnSource, TableTarget
from inbox.store.tables.changes.soft_deletes import Marks
from inbox.store.tables.columns import Column
from inbox.store.tables.decoded.sent_inputs import DecodedSent
from inbox.store.tables.writing.json_sent import JsonSent

Sent = JsonSent | DecodedSent


def sent_by(target: TableTarget, sources: Sequence[tuple[Column, ColumnSource]], marks: Marks | None) -> Sent:
    """Return what makes the inputs of a route of its events."""
    return DecodedSent(target, sources, marks) if target.decoded else JsonSent(target, sources, marks)
