"""Compare values of a user's column in statements on the user's search path.

An operator there is named with its schema: an operator that somebody else makes for the same types
would take precedence.
"""

from collections.abc import Mapping, Sequence
from typing import LiteralString, NamedTuple, cast

from psycopg import sql

from inbox.store.postgres.connection import Connection

_EQUAL, _GREATER = 3, 5
"""Strategies of btree (PostgreSQL manual, section 38.16.2)."""

# A type that is not listed has the operators of a built-in type: it is a domain, an array, an enum, or
# coercible to one.
_OPERATORS: LiteralString = """
WITH RECURSIVE bases AS (
    SELECT a.attname, a.atttypid AS base FROM pg_attribute a
    WHERE a.attrelid = to_regclass(%(table)s) AND a.attname = ANY (%(columns)s)
    UNION ALL
    SELECT bases.attname, d.typbasetype FROM bases JOIN pg_type d ON d.oid = base AND d.typtype = 'd'
)
SELECT bases.attname, p.amopstrategy, opn.nspname, o.oprname, tn.nspname, t.typname
FROM bases JOIN pg_type t ON t.oid = base AND t.typtype <> 'd' JOIN pg_namespace tn ON tn.oid = t.typnamespace
JOIN pg_opclass c ON c.opcintype = base AND c.opcdefault
JOIN pg_am m ON m.oid = c.opcmethod AND m.amname = 'btree'
JOIN pg_amop p ON p.amopfamily = c.opcfamily AND p.amoplefttype = base AND p.amoprighttype = base
    AND p.amopstrategy = ANY (%(strategies)s)
JOIN pg_operator o ON o.oid = p.amopopr JOIN pg_namespace opn ON opn.oid = o.oprnamespace
WHERE opn.nspname <> 'pg_catalog'
"""


class _Operator(NamedTuple):
    schema: str
    name: str
    type_schema: str
    type_name: str


class Comparing:
    """The operators by which the indexes of these columns compare."""

    def __init__(self, connection: Connection, table: sql.Identifier, columns: Sequence[str]) -> None:
        asked = {"table": table.as_string(), "columns": list(columns), "strategies": [_EQUAL, _GREATER]}
        rows = connection.execute(_OPERATORS, asked) if columns else ()
        self._operators: Mapping[tuple[str, int], _Operator] = {
            (column, strategy): _Operator(*operator) for column, strategy, *operator in rows
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Comparing) and self._operators == other._operators

    __hash__ = None  # type: ignore[assignment]

    def equal(self, column: str, left: sql.Composable, right: sql.Composable) -> sql.Composable:
        return self._compared((column, _EQUAL), "=", left, right)

    def greater(self, column: str, left: sql.Composable, right: sql.Composable) -> sql.Composable:
        return self._compared((column, _GREATER), ">", left, right)

    def equal_any(self, column: str, left: sql.Composable, array: sql.Composable) -> sql.Composable:
        """Return the SQL for whether the value is in the array, which is of the column's type."""
        found = self._operators.get((column, _EQUAL))
        operator = _named("pg_catalog", "=") if found is None else _named(found.schema, found.name)
        return sql.SQL("{} {} ANY ({})").format(left, operator, array)

    def has_own(self, column: str) -> bool:
        """Return whether the column's type compares by an operator outside pg_catalog."""
        return (column, _EQUAL) in self._operators

    def _compared(
        self, asked: tuple[str, int], name: LiteralString, left: sql.Composable, right: sql.Composable
    ) -> sql.Composable:
        found = self._operators.get(asked)
        if found is None:
            return sql.SQL("{} {} {}").format(left, _named("pg_catalog", name), right)
        # Cast to the index's own type: somebody else may have made an operator for a domain over that
        # type.
        as_type = sql.Identifier(found.type_schema, found.type_name)
        operator = _named(found.schema, found.name)
        return sql.SQL("{}::{} {} {}::{}").format(left, as_type, operator, right, as_type)


def _named(schema: str, operator: str) -> sql.Composable:
    # From the catalog, where an operator's name has no letters and no quotes.
    return sql.SQL("OPERATOR({}.{})").format(sql.Identifier(schema), sql.SQL(cast(LiteralString, operator)))
