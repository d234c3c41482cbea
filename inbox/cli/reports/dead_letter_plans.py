"""The report of a plan to resolve dead letters, and of its outcome."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any
from uuid import UUID

from inbox.cli.arguments import readable_key
from inbox.operations.dead_letters.edit import Edited
from inbox.operations.dead_letters.park import Parking
from inbox.operations.dead_letters.plan import Plan, UnitPlan
from inbox.operations.dead_letters.redact import Redaction
from inbox.printable import shortened
from inbox.sink.letters.resolver import Retried
from inbox.store.inbox.dead_letter_queries import Letter
from inbox.store.inbox.dead_letters import State

MOST_SHOWN = 10
"""The number of keys that are shown to people one by one."""


MOST_FAILED_SHOWN = 5
"""The number of keys that failed again which are shown with their errors."""

_LONGEST_KEY, _LONGEST_ERROR = 40, 150


def plan_json(plan: Plan, action: str, outcomes: Sequence[dict[str, Any]] | None) -> dict[str, Any]:
    """Return the plan as JSON, and, if it was executed, the outcome of each of its units."""
    units = [_unit_json(unit) for unit in plan.units]
    if outcomes is not None:
        untried: dict[str, Any] = {}
        units = [{**unit, **outcome} for unit, outcome in zip_longest(units, outcomes, fillvalue=untried)]
    return {
        "action": action,
        "executed": outcomes is not None,
        "plan": plan.token,
        "keys": units,
        "unknown": list(plan.unknown),
        "resolved": [letter.dead_letter_id for letter in plan.resolved],
    }


def retried_json(outcome: Retried) -> dict[str, Any]:
    """Return the outcome of a retry of one key as JSON."""
    return {
        "applied": outcome.applied,
        "duplicate": outcome.duplicate,
        "filtered": outcome.filtered,
        "failed": [{"id": each, "error": error} for each, error in outcome.failed],
        "still_waiting": outcome.waiting,
    }


def retry_plan_lines(unit: UnitPlan) -> list[str]:
    """Return lines that say what a retry would do with a key."""
    notes = [f"{_waiting(unit)} waiting behind the first"] if _waiting(unit) else []
    if claimed := sum(each.claimed for each in unit.letters):
        notes.append(f"{claimed} already claimed: nothing is applied twice")
    return [f"would apply {_what(unit)}" + "".join(f"; {note}" for note in notes)]


def retry_total_lines(plan: Plan) -> list[str]:
    """Return a line for the whole of a retry's plan."""
    letters = [each for unit in plan.units for each in unit.letters]
    if (chosen := sum(each.selected for each in letters)) == len(letters):
        return [_total(plan)]
    return [f"{_total(plan)}: {chosen} selected, the others because no event may overtake an earlier one of its key"]


def discard_total_lines(plan: Plan) -> list[str]:
    """Return a line for the whole of a discard's plan."""
    return [f"{_total(plan)}; a discard is for good"]


def _total(plan: Plan) -> str:
    events = sum(len(unit.letters) for unit in plan.units)
    return f"{len(plan.units)} {'key' if len(plan.units) == 1 else 'keys'} with {events} events"


def discard_plan_lines(unit: UnitPlan) -> list[str]:
    """Return lines that say what a discard would do with a key."""
    return [f"would give up {_what(unit)}{_behind(unit)}"]


def retried_lines(unit: UnitPlan, outcome: Retried) -> list[str]:
    """Return lines that say what a retry did with a key."""
    done = {"applied": outcome.applied, "duplicate": outcome.duplicate, "filtered by the route now": outcome.filtered}
    counts = [f"{count} {name}" for name, count in done.items() if count]
    nothing = "none applied" if outcome.failed else "nothing to apply; it was resolved meanwhile, or is not reached yet"
    lines = [f"{_where(unit)}: {', '.join(counts) or nothing}"]
    for dead_letter_id, error in outcome.failed:
        text = shortened(error.partition(chr(10))[0], _LONGEST_ERROR)
        lines.append(f"  dead letter {dead_letter_id} failed again: {text}")
    if outcome.waiting:
        lines.append(f"  {outcome.waiting} still waiting behind it")
    return lines


def retried_summary(outcomes: Sequence[Retried]) -> list[str]:
    """Return what a retry did with many keys, as one line."""
    applied, duplicate = (sum(getattr(each, name) for each in outcomes) for name in ("applied", "duplicate"))
    failed = sum(bool(each.failed) for each in outcomes)
    done = f"{len(outcomes)} keys: {applied} events applied, {duplicate} duplicates; {failed} keys failed again"
    if empty := outcomes.count(Retried()):
        return [f"{done}; {empty} had nothing to apply: somebody resolved them meanwhile, or they are not reached yet"]
    return [done]


def discarded_summary(plan: Plan, discarded: int) -> list[str]:
    """Return what a discard did with many keys, as one line."""
    behind = sum(len(unit.behind) for unit in plan.units)
    topic = plan.units[0].first.at.topic
    still = (
        f"; {behind} behind them stay open: `inbox dead-letters retry --topic {topic}` applies them" if behind else ""
    )
    return [f"{len(plan.units)} keys: {discarded} events given up{still}"]


def discarded_lines(unit: UnitPlan, count: int) -> list[str]:
    """Return lines that say what a discard did with a key."""
    return [f"{_where(unit)}: {count} given up{_behind(unit)}"]


def edited_json(edited: Edited, dead_letter_id: int) -> dict[str, Any]:
    """Return what an edit did, or what a retry of the edited dead letter would do, as JSON."""
    after = edited.after
    return {
        "action": "edit",
        "executed": edited.executed,
        "id": dead_letter_id,
        "trial": None if after is None else {"state": after.state.value, "error": _error_after(after)},
        "refusal": edited.refusal,
    }


def edited_lines(edited: Edited) -> list[str]:
    """Return what an edit did, or what a retry of the edited dead letter would do, as lines.

    A refusal is reported separately.
    """
    letter, after = edited.letter, edited.after
    if letter is None or edited.refusal is not None:
        return []
    name = f"dead letter {letter.dead_letter_id}"
    if edited.executed:
        return [f"{name} is edited, what came is kept; `inbox dead-letters retry {letter.dead_letter_id}` is next"]
    nothing = "tried and rolled back: nothing was changed; add --execute to edit it"
    if after is None or after.state is State.WAITING:
        return [f"{name} would still wait behind an earlier event of its key", nothing]
    if after.state is State.PARKED:
        return [f"{name} would fail again: {(_error_after(after) or '').partition(chr(10))[0]}", nothing]
    return [f"{name} would be applied, or found to be a duplicate", nothing]


def _error_after(after: Letter) -> str | None:
    return after.error if after.state is State.PARKED else None


def redaction_json(done: Redaction) -> dict[str, Any]:
    """Return the dead letters whose payloads are, or would be, removed as JSON."""
    return {
        "action": "redact",
        "executed": done.redacted is not None,
        "ids": list(done.ids),
        "open": done.open,
        "redacted": done.redacted,
    }


def redaction_lines(done: Redaction) -> list[str]:
    """Return how many payloads are, or would be, removed as lines."""
    if not done.ids:
        return ["no dead letter with a payload fits; there is nothing to do"]
    still = f"; {done.open} of them are open, and only a replay can apply them then" if done.open else ""
    if done.redacted is not None:
        return [f"removed the payloads of {done.redacted} dead letters{still}"]
    return [
        f"would remove the payloads of {len(done.ids)} dead letters{still}",
        "nothing was changed; add --execute to do it",
    ]


def parking_json(parking: Parking) -> dict[str, Any]:
    """Return the dead letters that a person parked, or would park, as JSON."""
    request = parking.request
    return {
        "action": "park",
        "executed": parking.executed,
        "topic": request.at.topic,
        "partition": request.at.partition,
        "offset": request.offset,
        "reason": request.reason,
        "letters": [
            {
                "route": route,
                "event_id": str(UUID(bytes=letter.event_id)) if letter.event_id else None,
                "type": letter.type,
                "key": readable_key(letter.record.key()),
            }
            for route, letter in parking.letters
        ],
        "refusal": parking.refusal,
    }


def parking_lines(parking: Parking) -> list[str]:
    """Return the dead letters that a person parked, or would park, as lines.

    A refusal is reported separately.
    """
    did = "parked" if parking.executed else "would park"
    lines = []
    for route, letter in parking.letters:
        key = readable_key(letter.record.key())
        lines.append(
            f"{did} {parking.request.address}, route {route}, " + ("without a key" if key is None else f'key "{key}"')
        )
    if lines and not parking.executed:
        lines.append("nothing was changed; add --execute to do it")
    return lines


def _unit_json(unit: UnitPlan) -> dict[str, Any]:
    return {
        "route": unit.first.route,
        "topic": unit.first.at.topic,
        "partition": unit.first.at.partition,
        "key": readable_key(unit.first.key),
        "first_offset": unit.first.kafka_offset,
        "ids": [each.dead_letter_id for each in unit.letters],
        "events": len(unit.letters),
        "waiting": _waiting(unit),
        "claimed": sum(each.claimed for each in unit.letters),
        "behind": len(unit.behind),
    }


def _waiting(unit: UnitPlan) -> int:
    return sum(each.state is State.WAITING for each in unit.letters)


def _what(unit: UnitPlan) -> str:
    count = len(unit.letters)
    events = f"dead letter {unit.first.dead_letter_id}" if count == 1 else f"{count} events"
    return f"{events}, {_where(unit)} from offset {unit.first.kafka_offset}"


def _where(unit: UnitPlan) -> str:
    key = readable_key(unit.first.key)
    named = "without a key" if key is None else f'key "{shortened(key, _LONGEST_KEY)}"'
    return f"route {unit.first.route}, {unit.first.at}, {named}"


def _behind(unit: UnitPlan) -> str:
    if not unit.behind:
        return ""
    first = unit.behind[0].dead_letter_id
    command = f"`inbox dead-letters retry {first} --execute`"
    return f"; {len(unit.behind)} of the same key stay open: {command} applies them in order"
