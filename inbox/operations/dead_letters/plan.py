"""The reading of dead letters and the plans for them. Nothing here changes a dead letter."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby

from inbox.errors import StartupError
from inbox.failure_policy import Order
from inbox.operations.actions import plan_token
from inbox.settings import Settings
from inbox.sink.letters.resolver import Unit
from inbox.store.inbox.dead_letter_queries import AffectedLetter, Cause, DeadLetterQueries, Letter, Selection
from inbox.store.inbox.dead_letters import OPEN, State
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import snapshot
from inbox.store.store import Store, open_store


@dataclass(frozen=True, kw_only=True)
class UnitPlan:
    """The dead letters that one transaction resolves, at least one.

    `behind` are the dead letters of the key that a discard leaves open.
    """

    unit: Unit
    letters: Sequence[AffectedLetter]
    behind: Sequence[AffectedLetter] = ()

    @property
    def first(self) -> AffectedLetter:
        """Return the dead letter that is resolved first."""
        return self.letters[0]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan for dead letters. `unknown` ids belong to none; `resolved` ones were retried or discarded before."""

    units: Sequence[UnitPlan]
    unknown: Sequence[int]
    resolved: Sequence[Letter]

    @property
    def token(self) -> str:
        """Return what `--plan` takes: another one once a selected dead letter is not as it was shown.

        It is another one too once the owner epoch of a partition moved: somebody else retried or discarded events of
        it, or another worker took it over. What comes to wait behind the selected ones makes no other plan.
        """
        chosen = [each for unit in self.units for each in unit.letters if each.selected]
        epochs = {str(each.partition_id): each.owner_epoch for each in chosen}
        letters = [(each.dead_letter_id, each.state, each.updated_at) for each in chosen]
        return plan_token({"letters": letters, "epochs": epochs})


def read_letters(
    options: DatabaseOptions, selection: Selection, *, resolved_too: bool, whole: bool
) -> Iterator[Letter]:
    """Return the selected dead letters as of one moment, in the order of route, partition, key and offset.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with _reading(options) as letters:
        ids = letters.select(selection, tuple(State) if resolved_too else OPEN)
        yield from letters.read(ids, whole=whole)


def read_causes(options: DatabaseOptions) -> list[Cause]:
    """Return the causes of the parked events as of one moment, the most frequent first.

    Raises:
        StartupError, TryAgainError: as `read_letters`.
    """
    with _reading(options) as letters:
        return letters.causes()


def plan_retry(settings: Settings, selection: Selection) -> Plan:
    """Return the plan of a retry of the selected dead letters.

    A key is applied whole, because no event may overtake an earlier one. With `order` "none" each
    dead letter is applied alone.

    Raises:
        StartupError: as `read_letters`; or the configuration lacks the route of a dead letter.
        TryAgainError: as `read_letters`.
    """
    by_key = settings.failures.order is not Order.NONE
    plan = _plan(settings.database, selection, lambda letters: _to_retry(letters, by_key=by_key))
    here = {route.name for route in settings.routes}
    if absent := sorted({each.first.route for each in plan.units} - here):
        raise StartupError(
            f"the configuration has no route {', '.join(absent)}, whose dead letters were selected; restore it, "
            "or choose others with --route, or discard them"
        )
    return plan


def plan_discard(options: DatabaseOptions, selection: Selection) -> Plan:
    """Return the plan of a discard of the selected dead letters, and of no other of their keys.

    Raises:
        StartupError, TryAgainError: as `read_letters`.
    """
    return _plan(options, selection, _to_discard)


def _plan(
    options: DatabaseOptions, selection: Selection, units: Callable[[Sequence[AffectedLetter]], Iterator[UnitPlan]]
) -> Plan:
    with _reading(options) as letters:
        chosen = letters.select(selection, OPEN)
        named = list(letters.read(selection.ids or (), whole=False))
        concerned = letters.affected(chosen)
    planned = [unit for group in _keys(concerned) for unit in units(group)]
    known = {letter.dead_letter_id for letter in named}
    return Plan(
        units=planned,
        unknown=[each for each in selection.ids or () if each not in known],
        resolved=[letter for letter in named if letter.state not in OPEN],
    )


def _keys(letters: Sequence[AffectedLetter]) -> Iterator[list[AffectedLetter]]:
    """Yield the dead letters of each key together, and each dead letter without a key alone."""
    for (_, _, key), group in groupby(letters, key=lambda each: (each.route_id, each.partition_id, each.key)):
        if key is None:
            yield from ([each] for each in group)
        else:
            yield list(group)


def _to_retry(letters: Sequence[AffectedLetter], *, by_key: bool) -> Iterator[UnitPlan]:
    if by_key and letters[0].key is not None:
        yield UnitPlan(unit=_unit(letters, letters[0].key), letters=letters)
    else:
        yield from (UnitPlan(unit=_unit([each], None), letters=[each]) for each in letters if each.selected)


def _to_discard(letters: Sequence[AffectedLetter]) -> Iterator[UnitPlan]:
    chosen = [each for each in letters if each.selected]
    behind = [each for each in letters if not each.selected]
    yield UnitPlan(unit=_unit(chosen, None), letters=chosen, behind=behind)


def _unit(letters: Sequence[AffectedLetter], key: bytes | None) -> Unit:
    return Unit(
        route_id=letters[0].route_id,
        partition_id=letters[0].partition_id,
        key=key,
        ids=tuple(each.dead_letter_id for each in letters),
    )


def require_change_rights(store: Store) -> None:
    """Raise StartupError if the role may not replace or remove what was recorded."""
    if not store.dead_letter_queries.may_change():
        raise StartupError(
            f"the database user {store.connection.info.user} may not change what was recorded of dead letters; run "
            "this with a login in the role of the schema's owner (`inbox migrate --roles` names it)"
        )


@contextmanager
def _reading(options: DatabaseOptions) -> Iterator[DeadLetterQueries]:
    with (
        open_store(options, command="dead-letters", doing="reading the dead letters") as store,
        snapshot(store.connection),
    ):
        yield store.dead_letter_queries
