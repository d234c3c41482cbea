"""The record that each command which changes anything leaves: who did what, when, and with which result.

A plan and a result hold counts, names, offsets and ids, and never a key, a value, a header, the text
of an error or a setting: people read them without the right to see payloads.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import orjson

from inbox.errors import TryAgainError
from inbox.operations.operator import current_operator
from inbox.store.inbox.control.actions import ActionRow
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import snapshot
from inbox.store.store import Store, open_store

_TOKEN_DIGITS = 8


@dataclass(frozen=True, kw_only=True)
class Action:
    """A command that is carried out: its name as typed, its plan, and who gave it (None: the operator at hand)."""

    command: str
    plan: Mapping[str, Any]
    by: str | None = None


def plan_token(plan: Mapping[str, Any]) -> str:
    """Return eight digits that stand for a plan: those of another plan differ.

    A person who has seen a plan gives them back with `--plan`, so that no other plan is carried out.
    """
    return sha256(orjson.dumps(plan, option=orjson.OPT_SORT_KEYS)).hexdigest()[:_TOKEN_DIGITS]


def record_action(store: Store, action: Action, result: Mapping[str, Any]) -> int:
    """Record an action and its result in the caller's transaction, which holds the change; return the action's id."""
    action_id = _begin(store, action)
    store.actions.end(action_id, result)
    return action_id


def record_where_kept(store: Store, action: Action, result: Mapping[str, Any]) -> None:
    """Record an action as `record_action`, if the inbox has a schema that keeps actions, and the role may write there.

    The owner of a table need not be a role of the inbox.
    """
    if store.actions.is_kept():
        record_action(store, action, result)


class Result(dict[str, Any]):
    """The result of an action, which its work fills. `keep` records what it has so far."""

    def __init__(self, keep: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__()
        self._keep = keep

    def add(self, **counts: int) -> None:
        for name, count in counts.items():
            self[name] = self.get(name, 0) + count

    def keep(self) -> None:
        """Record the result so far: a process that is ended now leaves it, and no end."""
        # What was done is committed already, and the end of the work records it too.
        with suppress(TryAgainError):
            self._keep(self)


@contextmanager
def recorded(store: Callable[[], Store], action: Action) -> Iterator[Result]:
    """Record an action of several transactions: the plan before the first of them, the result after the last.

    The caller fills the result that it is given as the work proceeds. If the work ends with an error,
    the result so far is recorded, with the kind of the error as `ended_by`. `store` returns one with a
    usable connection.
    """
    action_id = _begin(store(), action)
    result = Result(lambda so_far: store().actions.note(action_id, so_far))
    try:
        yield result
    except BaseException as error:
        # The error that ended the work is the one to raise.
        with suppress(TryAgainError):
            store().actions.end(action_id, {**result, "ended_by": type(error).__name__})
        raise
    store().actions.end(action_id, result)


def read_actions(options: DatabaseOptions, *, last: int, since: datetime | None = None) -> list[ActionRow]:
    """Return the newest actions, the newest last.

    Raises:
        StartupError: there is no schema, or it is of another version.
        TryAgainError: the database does not answer.
    """
    with open_store(options, command="history", doing="reading the history") as store, snapshot(store.connection):
        return store.actions.last(last, since=since)


def _begin(store: Store, action: Action) -> int:
    by = action.by or current_operator(store.connection)
    return store.actions.begin(action.command, action.plan, requested_by=by)
