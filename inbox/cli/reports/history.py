"""The report of what people changed by commands."""

from collections.abc import Mapping, Sequence
from typing import Any

from inbox.cli.output import timestamp
from inbox.cli.tables import PlainTable
from inbox.printable import first_of
from inbox.store.inbox.control.actions import ActionRow

_SHOWN_ITEMS = 3


def action_json(action: ActionRow) -> dict[str, Any]:
    """Return an action as `--json` prints it."""
    return {
        "id": action.action_id,
        "requested_by": action.requested_by,
        "database_user": action.database_user,
        "command": action.command,
        "plan": action.plan,
        "result": action.result,
        "created_at": timestamp(action.created_at),
        "ended_at": timestamp(action.ended_at),
    }


def actions_table(actions: Sequence[ActionRow]) -> PlainTable:
    """Return a row for each action, with plan and result in a few words."""
    table = PlainTable()
    table.add_columns("when", "who", "command", "plan", "result")
    for action in actions:
        table.add_row(*_cells(action), in_words(action.plan), _result(action))
    return table


def brief_row(action: ActionRow) -> list[str]:
    """Return what people look for among many actions: when, who, the command, and its result before its plan."""
    when, who, command = _cells(action)
    return [when, who.partition(" (")[0], command, f"{_result(action)}; {in_words(action.plan)}"]


def _cells(action: ActionRow) -> list[str]:
    return [action.created_at.strftime("%Y-%m-%d %H:%M:%S"), action.requested_by, action.command]


def _result(action: ActionRow) -> str:
    if action.ended_at is not None:
        return in_words(action.result or {})
    return "not ended" if not action.result else f"not ended; so far {in_words(action.result)}"


def in_words(document: Mapping[str, Any]) -> str:
    """Return names with values; a list shows its first items and the number of the others, and null is left out."""
    return ", ".join(f"{name} {_value(value)}" for name, value in document.items() if value is not None)


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"({in_words(value)})"
    if isinstance(value, list):
        return first_of([*map(_value, value)], _SHOWN_ITEMS, separator=" ")
    return str(value).lower() if isinstance(value, bool) else str(value)
