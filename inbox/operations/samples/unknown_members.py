"""The counted members of events that still fill no column of their tables."""

from collections.abc import Sequence

from inbox.sink.routes import HandlerTarget, Route
from inbox.store.inbox.unknown_members import UnknownMember
from inbox.store.options import TableTarget, UnknownMembers
from inbox.store.postgres.connection import Connection
from inbox.store.tables.columns import columns_of
from inbox.store.tables.lookup import located
from inbox.store.tables.members.by_name import resolved
from inbox.store.tables.members.unknown import known_members, shown_name


def still_unknown(
    connection: Connection, routes: Sequence[Route], counted: Sequence[UnknownMember]
) -> list[UnknownMember]:
    """Return the members that fill no column, as the routes and their tables are now."""
    if not counted:
        return []
    targets = {route.name: route.target for route in routes if not isinstance(route.target, HandlerTarget)}
    known = {
        name: _known(connection, target)
        for name, target in targets.items()
        if target.unknown_members is not UnknownMembers.IGNORE and any(each.route == name for each in counted)
    }
    return [
        each for each in counted if (names := known.get(each.route)) is not None and (each.member or "") not in names
    ]


def _known(connection: Connection, target: TableTarget) -> frozenset[str] | None:
    """Return the members that fill columns, as they are shown; None if all do."""
    columns = columns_of(connection, located(connection, target.name))  # none where the table does not exist
    known = known_members(resolved(target, columns))
    return None if known is None else frozenset(map(shown_name, known))
