"""Advice on members of events that fill no column of their table."""

from collections.abc import Iterator, Sequence
from itertools import groupby

from inbox.operations.samples.unknown import still_unknown
from inbox.printable import first_of
from inbox.settings import Settings
from inbox.store.options import TableTarget, UnknownMembers
from inbox.store.postgres.connection import Connection
from inbox.store.store import Store
from inbox.store.tables.members.unknown import shown_name

_MOST_NAMES = 10


def advice_on_drift(connection: Connection, settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name of each route whose events had such members, with the advice."""
    store = Store(connection, settings.database.schema)
    found = still_unknown(connection, settings.routes, store.unknown_members.by_route())
    for route, members in groupby(found, key=lambda each: each.route):
        counted = [f"{each.member or 'others'} ({each.events} events)" for each in members]
        yield route, drift_line(route, "events have members", counted)


def tells_drift(target: TableTarget) -> bool:
    """Return whether fields that fill no column are worth a word: for other routes the columns are a choice."""
    return target.by_name or target.unknown_members is not UnknownMembers.IGNORE


def drift_line(route: str, what: str, names: Sequence[str]) -> str:
    """Return the advice on members that fill no column."""
    shown = first_of([*map(shown_name, names)], _MOST_NAMES)
    return f"{what} that fill no column: {shown}; inbox table plan --route {route} shows what to add"
