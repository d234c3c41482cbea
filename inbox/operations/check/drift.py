"""Advice on members of events that fill no column of their table."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from inbox.operations.samples.drift import drift_of
from inbox.operations.samples.route_rows import rows_of
from inbox.operations.samples.unknown_members import still_unknown
from inbox.printable import first_of
from inbox.settings import Settings
from inbox.sink.routes import Route
from inbox.store.options import TableTarget, UnknownMembers
from inbox.store.postgres.connection import Connection
from inbox.store.store import Store
from inbox.store.tables.columns import columns_of
from inbox.store.tables.lookup import located
from inbox.store.tables.members.by_name import resolved
from inbox.store.tables.members.unknown import shown_name

_MOST_NAMES = 10
_SAMPLE = 200
_FEWEST = 5
"""The fewest rows from which something follows."""


def advice_on_drift(connection: Connection, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name of each route whose events had such members, with the advice."""
    store = Store(connection, settings.database.schema)
    found = still_unknown(connection, settings.routes, store.unknown_members.by_route())
    for route, members in groupby(found, key=lambda each: each.route):
        counted = [f"{each.member or 'others'} ({each.events} events)" for each in members]
        yield route, drift_line(route, "events have members", counted)


def advice_on_values(connection: Connection, settings: Settings, route: Route, target: TableTarget) -> list[str]:
    """Return advice on the newest events of a route: the columns that they do not fill any more, or do not fit.

    Raises:
        InboxError: the events cannot be read.
    """
    table = columns_of(connection, located(connection, target.name))
    rows = rows_of(settings.kafka, route, target, _SAMPLE)
    if not table or len(rows) < _FEWEST:
        return []
    newest = rows[-max(_FEWEST, len(rows) // 4) :]
    full, typed = resolved(target, table), route.format.value.has_decoded_rows
    before = drift_of(full, table, rows, typed=typed).unfilled
    found = drift_of(full, table, newest, typed=typed)
    gone = [name for name in found.unfilled if name not in before]
    lines = [f"{change.why}; inbox table plan --route {route.name} shows the SQL" for change in found.refused]
    if gone:
        lines.append(
            f"the newest {len(newest)} events have no value for {first_of(gone, _MOST_NAMES)}, and earlier ones have; "
            "ask their producer, then drop the columns or correct the route"
        )
    return lines


def tells_drift(target: TableTarget) -> bool:
    """Return whether fields that fill no column are worth a word: for other routes the columns are a choice."""
    return target.by_name or target.unknown_members is not UnknownMembers.IGNORE


def drift_line(route: str, what: str, names: Sequence[str]) -> str:
    """Return the advice on members that fill no column."""
    shown = first_of([*map(shown_name, names)], _MOST_NAMES)
    return f"{what} that fill no column: {shown}; inbox table plan --route {route} shows what to add"
