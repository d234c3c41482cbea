"""The work of `inbox dead-letters redact`: it removes payloads, and keeps the record that something was parked."""

from collections.abc import Sequence
from dataclasses import dataclass

from inbox.operations.actions import Action, record_action
from inbox.operations.dead_letters.plan import require_change_rights
from inbox.operations.operator import current_operator
from inbox.store.inbox.dead_letter_queries import Selection
from inbox.store.inbox.dead_letters import OPEN, State
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import transaction
from inbox.store.store import open_store

_RECORDED_IDS = 20
_RESOLVED = tuple(state for state in State if state not in OPEN)


@dataclass(frozen=True, kw_only=True)
class Redaction:
    """The dead letters that lose their payloads, and how many of them are open. `redacted` is None for a plan."""

    ids: Sequence[int]
    open: int
    redacted: int | None = None


def redact(options: DatabaseOptions, selection: Selection, *, execute: bool, by: str | None) -> Redaction:
    """Plan the redaction of the named dead letters, or else of resolved ones, and with `execute` do it.

    Raises:
        StartupError: there is no schema, or the role may not change what was recorded.
        TryAgainError: the database does not answer.
    """
    states = tuple(State) if selection.ids is not None else _RESOLVED
    doing = "redacting the dead letters"
    with open_store(options, command="dead-letters", doing=doing) as store, transaction(store.connection):
        if execute:
            require_change_rights(store)
        letters = store.dead_letter_queries
        selected = letters.read(letters.select(selection, states), whole=False)
        found = [letter for letter in selected if letter.redacted_at is None]
        ids = [letter.dead_letter_id for letter in found]
        count = sum(letter.state in OPEN for letter in found)
        if not execute:
            return Redaction(ids=ids, open=count)
        redacted = letters.redact(ids)
        plan = {"letters": len(ids), "routes": sorted({each.route for each in found}), "first_ids": ids[:_RECORDED_IDS]}
        action = Action(command="dead-letters redact", plan=plan, by=by or current_operator(store.connection))
        record_action(store, action, {"redacted": redacted})
    return Redaction(ids=ids, open=count, redacted=redacted)
