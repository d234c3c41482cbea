"""The record of what people changed by commands, in the table `actions`."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import orjson

from inbox.store.postgres.connection import Connection
from inbox.store.sql import statements

_IS_KEPT: LiteralString = """
SELECT EXISTS (
    SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %(schema)s AND c.relname = 'actions'
        AND pg_catalog.has_schema_privilege(n.oid, 'USAGE')
        AND pg_catalog.has_table_privilege(c.oid, 'SELECT') AND pg_catalog.has_table_privilege(c.oid, 'INSERT')
        AND pg_catalog.has_table_privilege(c.oid, 'UPDATE')
)
"""


@dataclass(frozen=True, kw_only=True)
class ActionRow:
    """A row of `actions`.

    `ended_at` is None while the command runs, or if its process was ended; `result` is what it did so far then.
    """

    action_id: int
    requested_by: str
    database_user: str
    command: str
    plan: Mapping[str, Any]
    result: Mapping[str, Any] | None
    created_at: datetime
    ended_at: datetime | None


class Actions:
    """The reads and writes of `actions`; the caller has the transaction."""

    def __init__(self, connection: Connection, schema: str) -> None:
        self._connection = connection
        self._schema = schema
        self._sql = statements("control", schema)

    def is_kept(self) -> bool:
        """Return whether the schema has the table, which it lacks before revision 0009, and the role may write it."""
        row = self._connection.execute(_IS_KEPT, {"schema": self._schema}).fetchone()
        return bool(row and row[0])

    def begin(self, command: str, plan: Mapping[str, Any], *, requested_by: str) -> int:
        """Record that a command begins to carry out its plan, and return the action's id."""
        asked = {"requested_by": requested_by, "command": command, "plan": orjson.dumps(plan).decode()}
        row = self._connection.execute(self._sql["begin_action"], asked).fetchone()
        return int(row[0]) if row else 0

    def note(self, action_id: int, result: Mapping[str, Any]) -> None:
        """Record what an action did so far."""
        noted = {"action_id": action_id, "result": orjson.dumps(result).decode()}
        self._connection.execute(self._sql["note_action"], noted)

    def end(self, action_id: int, result: Mapping[str, Any]) -> None:
        """Record the result of an action."""
        ended = {"action_id": action_id, "result": orjson.dumps(result).decode()}
        self._connection.execute(self._sql["end_action"], ended)

    def last(self, limit: int, *, since: datetime | None = None) -> list[ActionRow]:
        """Return the newest actions, at most `limit` of them, the newest last."""
        columns = ("action_id", "requested_by", "database_user", "command", "plan", "result", "created_at", "ended_at")
        rows = self._connection.execute(self._sql["last_actions"], {"limit": limit, "since": since}).fetchall()
        return [ActionRow(**dict(zip(columns, row, strict=True))) for row in rows]
