"""The retry and the discard of dead letters beside a running sink."""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from typing import Any, TypeVar

from inbox.bootstrap.permissions import require_rights
from inbox.bootstrap.retry import retry_until
from inbox.bootstrap.routes import RouteTargets, load_handlers, table_routes
from inbox.bootstrap.topics import sink_identity
from inbox.errors import HaltError, TryAgainError
from inbox.failure_policy import FailureLimits
from inbox.operations.actions import Action, Result, recorded
from inbox.operations.dead_letters.groups import Groups, groups_of
from inbox.operations.dead_letters.plan import Plan, UnitPlan
from inbox.operations.operator import current_operator
from inbox.settings import Settings
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.letters.resolver import LetterResolver, Retried, Unit
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect, is_usable, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store
from inbox.store.tables.writer import TableWriter

_Answer = TypeVar("_Answer")

_RECORDED_IDS = 100
_PATIENCE_SECONDS = 60.0
"""The time for which an outage, or a deadlock with the sink (whose lock order differs), is waited out."""


MOST_FAILED_IN_A_ROW = 20
"""The number of keys in a row that fail again before a retry stops: the cause is still there."""


def retry(
    settings: Settings, plan: Plan, *, by: str | None, most_failed: int | None = MOST_FAILED_IN_A_ROW
) -> Iterator[tuple[UnitPlan, Retried]]:
    """Apply the planned dead letters, those of many keys in one transaction. A yielded result is committed.

    It stops early once `most_failed` keys in a row failed again with nothing applied; with None it never does.

    Raises:
        StartupError: a handler, a table or a right is missing; nothing was changed.
        TryAgainError: the database stayed away, or a handler kept raising it for another service.
        HaltError: a handler ended the transaction.
    """
    with closing(_ReconnectingResolver(settings.database, settings.failures, by)) as resolver:
        tried = _Retry(settings, resolver, {each.first.route for each in plan.units})
        action, groups = Action(command="dead-letters retry", plan=_recorded_plan(plan), by=by), Groups(most_failed)
        with recorded(resolver.store, action) as result:
            for group in groups.of(plan.units):
                for each, outcome in tried.group(group):
                    groups.note(outcome)
                    _add_retried(result, outcome)
                    yield each, outcome
                result.keep()
            if untried := groups.left:
                result["untried"] = untried


class _Retry:
    """The retry of groups of keys, each in a transaction of its own as long as nothing holds it up."""

    def __init__(self, settings: Settings, resolver: "_ReconnectingResolver", routes: Collection[str]) -> None:
        self._routes = {route.name: route for route in settings.routes}
        self._at_most = settings.sink.batch_events
        self._resolver = resolver
        self._targets = find_targets(settings, resolver.store(), routes)
        self._calls = UnwatchedCalls()

    def group(self, group: Sequence[UnitPlan]) -> Iterator[tuple[UnitPlan, Retried]]:
        """Retry the keys of one route and partition together.

        An outage that one of them meets holds up no other: they are tried in ever smaller groups, and one that
        is alone is waited for.
        """
        if len(group) == 1:
            done = self._resolver.ask(lambda resolver: self._apply(resolver, group))
        else:
            try:
                done = self._resolver.ask_once(lambda resolver: self._apply(resolver, group))
            except (TryAgainError, HaltError):
                middle = len(group) // 2
                yield from self.group(group[:middle])
                yield from self.group(group[middle:])
                return
        yield from ((each, done[each.unit]) for each in group)

    def _apply(self, resolver: LetterResolver, group: Sequence[UnitPlan]) -> dict[Unit, Retried]:
        first = group[0]
        route = self._routes[first.first.route]
        bound = self._targets.bind(route, first.unit.route_id, resolver.session, self._calls)
        return resolver.retry([each.unit for each in group], route, bound, at_most=self._at_most)


def _add_retried(result: Result, outcome: Retried) -> None:
    result.add(
        keys=1,
        applied=outcome.applied,
        duplicate=outcome.duplicate,
        filtered=outcome.filtered,
        failed=len(outcome.failed),
    )


def discard(
    options: DatabaseOptions, plan: Plan, *, by: str | None, reason: str | None = None
) -> Iterator[tuple[UnitPlan, int]]:
    """Discard the planned dead letters, those of many keys in one transaction. `reason` is for the record of actions.

    Yields each unit with the number of its dead letters that were still open. A yielded result is committed.

    Raises:
        TryAgainError: the database stayed away.
    """
    with closing(_ReconnectingResolver(options, FailureLimits(), by)) as resolver:

        def discarded_of(unit: Unit) -> frozenset[int]:
            return frozenset(resolver.ask(lambda resolver: resolver.discard(unit)))

        asked = {} if reason is None else {"reason": reason}
        action = Action(command="dead-letters discard", plan={**asked, **_recorded_plan(plan)}, by=by)
        with recorded(resolver.store, action) as result:
            for group in groups_of(plan.units):
                discarded = discarded_of(_together([each.unit for each in group]))
                for each in group:
                    count = len(discarded.intersection(each.unit.ids))
                    result.add(discarded=count)
                    yield each, count
                result.keep()


def _together(units: Sequence[Unit]) -> Unit:
    """Return the dead letters of units of one route and partition as one unit."""
    return replace(units[0], key=None, ids=tuple(each for unit in units for each in unit.ids))


def _recorded_plan(plan: Plan) -> Mapping[str, Any]:
    """Return the plan as `actions` records it, with the first ids."""
    letters = [letter.dead_letter_id for each in plan.units for letter in each.letters]
    return {
        "letters": len(letters),
        "keys": len(plan.units),
        "routes": sorted({each.first.route for each in plan.units}),
        "first_ids": letters[:_RECORDED_IDS],
    }


class _ReconnectingResolver:
    """A resolver that is opened again when its connection breaks."""

    def __init__(self, options: DatabaseOptions, limits: FailureLimits, by: str | None) -> None:
        self._options = options
        self._limits = limits
        self._by = by
        self._store: Store | None = None
        self._resolver: LetterResolver | None = None

    def store(self) -> Store:
        if self._store is None or not is_usable(self._store.connection):
            self.close()
            connection = connect(
                self._options,
                application_name="inbox dead-letters",
                longest_call_seconds=self._limits.handler_timeout.total_seconds(),
            )
            self._store, self._resolver = Store(connection, self._options.schema), None
        return self._store

    def close(self) -> None:
        if self._store is not None:
            self._store.close()

    def ask(self, action: Callable[[LetterResolver], _Answer]) -> _Answer:
        """Return the resolver's answer, asking again during an outage.

        A repeated question finds the dead letters that are open then.
        """
        return retry_until(lambda: action(self._open()), _PATIENCE_SECONDS, threading.Event())

    def ask_once(self, action: Callable[[LetterResolver], _Answer]) -> _Answer:
        """Return the resolver's answer, and wait for nothing.

        Raises:
            TryAgainError: an outage, or a deadlock with the sink.
        """
        return action(self._open())

    def _open(self) -> LetterResolver:
        store = self.store()
        if self._resolver is None:
            by = self._by or current_operator(store.connection)
            self._resolver = LetterResolver(store, HandlerSession(store.connection), limits=self._limits, by=by)
        return self._resolver


def find_targets(settings: Settings, store: Store, wanted: Collection[str]) -> RouteTargets:
    """Return the handlers and the writers of tables of the routes with these names."""
    routes = [route for route in settings.routes if route.name in wanted]
    handlers = load_handlers(routes)
    with startup_errors("preparing the routes"):
        store.register.review(sink_identity(settings, store.register.bound_cluster()))
        require_rights(store.connection, settings)
        writers = {route.name: TableWriter(store.connection, target) for route, target in table_routes(routes)}
    return RouteTargets(settings, handlers, writers)
