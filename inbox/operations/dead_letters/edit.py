"""The work of `inbox dead-letters edit`: a person replaces a value or headers, and sees the effect first."""

import threading
from contextlib import closing
from dataclasses import dataclass

from inbox.bootstrap.retry import retry_until
from inbox.events import Header
from inbox.failure_policy import Order
from inbox.operations.actions import Action, recorded
from inbox.operations.dead_letters.plan import read_letters, require_change_rights
from inbox.operations.dead_letters.resolve import find_targets
from inbox.operations.operator import current_operator
from inbox.settings import Settings
from inbox.sink.guards.handler_calls import UnwatchedCalls
from inbox.sink.letters.events import id_of
from inbox.sink.letters.resolver import Edit, LetterResolver, Unit
from inbox.sink.routes import Route
from inbox.store.inbox.dead_letter_queries import Letter, Selection
from inbox.store.inbox.dead_letters import OPEN
from inbox.store.postgres.connection import connect, startup_errors
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.store import Store

_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class EditRequest:
    """A request to edit a dead letter. `value` None keeps the value; a header replaces all of its name."""

    dead_letter_id: int
    value: bytes | None
    headers: tuple[Header, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Edited:
    """The plan of an edit, executed or not.

    `after` is the dead letter as a retry of the edited one would leave it; None if the edit was executed.
    """

    letter: Letter | None
    refusal: str | None = None
    after: Letter | None = None
    executed: bool = False


def edit(settings: Settings, request: EditRequest, *, execute: bool, by: str | None) -> Edited:
    """Try the edited dead letter in a transaction that is rolled back, or with `execute` edit it.

    Raises:
        StartupError: there is no schema, or a handler, a table or a right is missing; or the role may not change what
            was recorded.
        TryAgainError: the database does not answer.
        HaltError: a handler ended the transaction.
    """
    selection = Selection(ids=(request.dead_letter_id,))
    letter = next(iter(read_letters(settings.database, selection, resolved_too=True, whole=True)), None)
    if (refusal := _refusal(settings, request, letter)) is not None or letter is None:
        return Edited(letter=letter, refusal=refusal)
    limits = settings.failures
    connection = connect(
        settings.database,
        application_name="inbox dead-letters",
        longest_call_seconds=limits.handler_timeout.total_seconds(),
    )
    with closing(Store(connection, settings.database.schema)) as store:
        with startup_errors("editing a dead letter"):
            require_change_rights(store)
        by = by or current_operator(connection)
        resolver = LetterResolver(store, HandlerSession(connection), limits=limits, by=by)
        route = next(route for route in settings.routes if route.name == letter.route)
        unit, change = _unit(settings, letter), _edit(request, letter, route)
        if execute:
            with recorded(lambda: store, _action(request, letter, by)) as result:
                edited = retry_until(lambda: resolver.edit(unit, change), _PATIENCE_SECONDS, threading.Event())
                result["edited"] = int(edited)
            return Edited(letter=letter, executed=edited, refusal=None if edited else _resolved_meanwhile(letter))
        bound = find_targets(settings, store, {route.name}).bind(
            route, letter.route_id, resolver.session, UnwatchedCalls()
        )
        after = retry_until(
            lambda: resolver.try_edit(unit, change, route, bound, at_most=settings.sink.batch_events),
            _PATIENCE_SECONDS,
            threading.Event(),
        )
    return Edited(letter=letter, after=after)


def _action(request: EditRequest, letter: Letter, by: str) -> Action:
    replaced = [*(["value"] if request.value is not None else []), *(["headers"] if request.headers else [])]
    plan = {"letters": 1, "routes": [letter.route], "first_ids": [letter.dead_letter_id], "replaced": replaced}
    return Action(command="dead-letters edit", plan=plan, by=by)


def _resolved_meanwhile(letter: Letter) -> str:
    this = letter.dead_letter_id
    return f"somebody else resolved dead letter {this} meanwhile; `inbox dead-letters show {this}` says who"


def _refusal(settings: Settings, request: EditRequest, letter: Letter | None) -> str | None:
    if letter is None:
        return f"there is no dead letter {request.dead_letter_id}; `inbox dead-letters list --all` lists them"
    if letter.state not in OPEN:
        return f"dead letter {letter.dead_letter_id} was {letter.state.value} before, by {letter.resolved_by}"
    if letter.redacted_at is not None:
        return f"the payload of dead letter {letter.dead_letter_id} was removed by `redact`; replay its offset"
    if letter.route not in {route.name for route in settings.routes}:
        return f"the configuration has no route {letter.route}, on which it failed; restore it"
    return None


def _unit(settings: Settings, letter: Letter) -> Unit:
    key = None if settings.failures.order is Order.NONE else letter.record.key()
    return Unit(route_id=letter.route_id, partition_id=letter.partition_id, key=key, ids=(letter.dead_letter_id,))


def _edit(request: EditRequest, letter: Letter, route: Route) -> Edit:
    replaced = {name for name, _ in request.headers}
    kept = [header for header in letter.record.headers() or () if header[0] not in replaced]
    value = letter.record.value() if request.value is None else request.value
    headers = [*kept, *request.headers]
    return Edit(
        dead_letter_id=letter.dead_letter_id,
        value=value,
        headers=headers,
        event_id=letter.event_id or id_of(letter, route, value, headers),
    )
