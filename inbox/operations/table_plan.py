"""Find what the tables of routes lack for their events, and add what loses nothing: `inbox table plan`.

The owner of the tables runs it. The sink never alters a table.
"""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from difflib import get_close_matches

from inbox.errors import StartupError
from inbox.operations.actions import Action, record_where_kept
from inbox.operations.samples.drift import Drift, drift_of
from inbox.operations.samples.route_rows import row_schemas, rows_of
from inbox.settings import Settings
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import TableTarget
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.store import Store
from inbox.store.tables.columns import columns_of
from inbox.store.tables.ddl.creation import define, require_owner
from inbox.store.tables.lookup import located
from inbox.store.tables.members.by_name import resolved


@dataclass(frozen=True, kw_only=True)
class RoutePlan:
    """The drift of one route's table, and whether its additive part was carried out.

    `sampled` is how many rows were looked at, and `schemas` are the names of the schemas that were.
    """

    route: str
    table: str
    sampled: int
    schemas: Sequence[str]
    drift: Drift
    executed: bool


def plan(settings: Settings, *, route: str | None, sample: int, execute: bool) -> list[RoutePlan]:
    """Return a plan for each route with a table, or for the one that is named.

    Raises:
        StartupError: the route or its table does not exist, or with `execute` the role does not own the table.
        TryAgainError: a server does not answer, or a lock on the table was not had within 5 s.
    """
    chosen = [(each, each.target) for each in settings.routes if not isinstance(each.target, HandlerTarget)]
    if route is not None:
        names = [each.name for each, _ in chosen]
        if route not in names:
            near = get_close_matches(route, names, n=1)
            raise StartupError(
                f'no route with a table is named "{route}"' + (f'; did you mean "{near[0]}"?' * bool(near))
            )
        chosen = [each for each in chosen if each[0].name == route]
    connection = connect(settings.database, application_name="inbox table plan")
    with closing(connection), startup_errors("altering the table"):
        return [_plan(connection, settings, each, target, sample, execute=execute) for each, target in chosen]


def _plan(
    connection: Connection, settings: Settings, route: Route, target: TableTarget, sample: int, *, execute: bool
) -> RoutePlan:
    table = columns_of(connection, located(connection, target.name))
    if not table:
        raise StartupError(f'the table "{target.name}" does not exist; make one with inbox new route')
    rows = rows_of(settings.kafka, route, target, sample)
    schemas = row_schemas(route, settings.schemas)
    drift = drift_of(resolved(target, table), table, rows, schemas, typed=route.format.value.has_decoded_rows)
    if execute and drift.additive:
        require_owner(connection, target.name)
        action = Action(command="table plan", plan={"route": route.name, "table": target.name})
        store, changes = Store(connection, settings.database.schema), [change.sql for change in drift.additive]
        define(connection, changes, lambda: record_where_kept(store, action, {"statements": len(changes)}))
    return RoutePlan(
        route=route.name,
        table=target.name,
        sampled=len(rows),
        schemas=[each.fields.name for each in schemas],
        drift=drift,
        executed=execute and bool(drift.additive),
    )
