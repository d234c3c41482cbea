"""The user's table as the catalog describes it, and the check that it fits its route."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, LiteralString, NamedTuple

from psycopg import sql

from inbox.errors import StartupError
from inbox.store.options import TableMode, TableTarget, Tombstones
from inbox.store.postgres.connection import Connection
from inbox.store.tables.durability import losable

_COLUMNS: LiteralString = """
WITH RECURSIVE bases AS (
    SELECT a.attname, a.atttypid AS base, a.atttypmod AS modifier FROM pg_attribute a
    WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT bases.attname, d.typbasetype, d.typtypmod FROM bases JOIN pg_type d ON d.oid = base AND d.typtype = 'd'
), parts AS (
    SELECT attname, base AS part FROM bases
    UNION
    SELECT parts.attname, within.part FROM parts JOIN pg_type t ON t.oid = parts.part CROSS JOIN LATERAL (
        SELECT t.typbasetype WHERE t.typtype = 'd'
        UNION ALL SELECT t.typelem WHERE t.typelem <> 0
        UNION ALL SELECT r.rngsubtype FROM pg_range r WHERE t.oid IN (r.rngtypid, r.rngmultitypid)
        UNION ALL SELECT f.atttypid FROM pg_attribute f
            WHERE t.typtype = 'c' AND f.attrelid = t.typrelid AND f.attnum > 0 AND NOT f.attisdropped
    ) AS within (part)
)
SELECT a.attname, n.nspname, t.typname, format_type(a.atttypid, a.atttypmod), t.typtype = 'd',
    a.attnotnull, a.atthasdef OR a.attidentity <> '' AS filled, a.attgenerated <> '' OR a.attidentity = 'a' AS computed,
    a.atthasdef OR a.attidentity <> '' OR t.typdefault IS NOT NULL AS has_default,
    bn.nspname, b.typname, bases.modifier, en.nspname, e.typname,
    EXISTS (SELECT FROM parts WHERE parts.attname = a.attname AND part = ANY (
        '{date,time,timetz,timestamp,timestamptz}'::regtype[])) AS holds_times,
    CASE WHEN a.attcollation NOT IN (0, t.typcollation) THEN ARRAY[cn.nspname, c.collname]::text[] END,
    a.attidentity <> '' AS identity,
    CASE WHEN a.attgenerated = '' THEN coalesce(
        pg_get_expr(f.adbin, f.adrelid), pg_get_expr(t.typdefaultbin, 0)) END AS own_default
FROM pg_attribute a LEFT JOIN pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
JOIN pg_type t ON t.oid = a.atttypid JOIN pg_namespace n ON n.oid = t.typnamespace
JOIN bases USING (attname)
JOIN pg_type b ON b.oid = bases.base AND b.typtype <> 'd' JOIN pg_namespace bn ON bn.oid = b.typnamespace
LEFT JOIN pg_type e ON e.oid = b.typelem AND b.typcategory = 'A' LEFT JOIN pg_namespace en ON en.oid = e.typnamespace
LEFT JOIN pg_collation c ON c.oid = a.attcollation LEFT JOIN pg_namespace cn ON cn.oid = c.collnamespace
WHERE a.attrelid = to_regclass(%(table)s) AND a.attnum > 0
ORDER BY a.attnum
"""

_UNIQUE_KEYS: LiteralString = """
SELECT array_agg(a.attname ORDER BY a.attname)
FROM pg_index i JOIN pg_attribute a
    ON a.attrelid = i.indrelid AND a.attnum = ANY ((i.indkey::int2[])[0:i.indnkeyatts - 1])
WHERE i.indrelid = to_regclass(%s) AND i.indisunique AND i.indisvalid AND i.indimmediate
    AND i.indpred IS NULL AND i.indexprs IS NULL
GROUP BY i.indexrelid
"""

_CHECKS: LiteralString = """
SELECT pg_get_expr(c.conbin, c.conrelid), array_agg(a.attname)
FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = ANY (c.conkey)
WHERE c.conrelid = to_regclass(%s) AND c.contype = 'c' AND cardinality(c.conkey) > 0
GROUP BY c.oid
"""


_ALIKE: LiteralString = """
SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'v', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%%'
    AND lower(%s) IN (lower(c.relname), lower(n.nspname || '.' || c.relname))
ORDER BY 1 LIMIT 3
"""

_RULES: LiteralString = """
SELECT array_agg(r.ev_type::text) FROM pg_rewrite r WHERE r.ev_class = to_regclass(%s) AND r.ev_enabled <> 'D'
"""
"""PostgreSQL's letters for the command of a rule: 2 UPDATE, 3 INSERT, 4 DELETE."""


MARKS = frozenset({"timestamptz", "timestamp", "date", "bool"})
"""The types of a column in which `tombstones = "mark"` notes that, or when, a row was deleted."""


class TypeName(NamedTuple):
    """A type as pg_type describes it."""

    schema: str
    name: str

    @property
    def sql(self) -> sql.Identifier:
        """Return the type without length or precision: a cast to varchar(10) cuts silently, an assignment refuses."""
        return sql.Identifier(*self)


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of the user's table as pg_attribute describes it.

    `declared` is its type as in CREATE TABLE. `base` is the type below its domain, or else its
    type. `modifier` is the length or precision of `base`. `element` is the element type of an
    array. `holds_times`: its values are dates or times, or contain some, as arrays, ranges and
    composite types may. `has_default`: a new row that is given no value takes the table's or the
    domain's. `default` is that of the table, as SQL in which all but PostgreSQL's own names have a
    schema. `collation`: schema and name, where it differs from that of the type.
    """

    name: str
    type: TypeName
    declared: str
    is_domain: bool
    not_null: bool
    filled: bool
    computed: bool
    has_default: bool
    base: TypeName
    modifier: int
    element: TypeName | None
    holds_times: bool
    collation: tuple[str, ...] | None = None
    is_identity: bool = False
    default: LiteralString | None = None

    @property
    def is_always_identity(self) -> bool:
        """Return whether it is GENERATED ALWAYS AS IDENTITY."""
        return self.is_identity and self.computed


def columns_of(connection: Connection, found: sql.Identifier) -> dict[str, Column]:
    """Return the columns of a table by name, in their order; none where it does not exist."""
    return {row[0]: _column(row) for row in connection.execute(_COLUMNS, {"table": found.as_string()})}


def require_fit(connection: Connection, target: TableTarget, found: sql.Identifier, columns: dict[str, Column]) -> None:
    """Raise StartupError with one line for all that does not fit the route: table, columns, keys.

    `columns` are those of the table that was found.
    """
    table = found.as_string()
    if not columns:
        advice = f"create it, or correct [routes.table] name{_alike(connection, target)}"
        raise StartupError(f'the table "{target.name}" does not exist; {advice}')
    keys = [frozenset(row[0]) for row in connection.execute(_UNIQUE_KEYS, (table,))]
    [(rules,)] = connection.execute(_RULES, (table,)).fetchall()
    problems = _problems(target, columns, keys) + _problems_of_rules(target, rules or ())
    if problems := [*problems, *losable(connection, table)]:
        raise StartupError("\n".join(problems))


def _problems_of_rules(target: TableTarget, rules: Collection[str]) -> list[str]:
    """Return the problems of rules: ON CONFLICT fails with one on INSERT or UPDATE; one on DELETE may do nothing."""
    on = [name for letter, name in (("3", "INSERT"), ("2", "UPDATE")) if target.key and letter in rules]
    on += ["DELETE"] if target.tombstones is Tombstones.DELETE and "4" in rules else []
    return [
        f'the table "{target.name}" has a rule on {name}, with which this route cannot work; make it a trigger'
        for name in on
    ]


def _alike(connection: Connection, target: TableTarget) -> str:
    """Return the tables whose names differ in case alone, the usual mistake: PostgreSQL compares stored names."""
    found = [row[0] for row in connection.execute(_ALIKE, (target.name,))]
    return f" (there is {' and '.join(found)}; upper and lower case count, and no quotes are needed)" if found else ""


def checks_of(connection: Connection, target: TableTarget, found: sql.Identifier) -> list[LiteralString]:
    """Return the CHECK constraints on columns of the route alone, as SQL over these columns."""
    rows = connection.execute(_CHECKS, (found.as_string(),))
    return [row[0] for row in rows if set(row[1]) <= target.columns.keys()]


def _column(row: tuple[Any, ...]) -> Column:
    name, schema, type_name, declared, is_domain, not_null, filled, computed, has_default = row[:9]
    base_schema, base_name, modifier, element_schema, element_name, holds_times, collation = row[9:16]
    is_identity, default = row[16:]
    return Column(
        name=name,
        type=TypeName(schema, type_name),
        declared=declared,
        is_domain=is_domain,
        not_null=not_null,
        filled=filled,
        computed=computed,
        has_default=has_default,
        base=TypeName(base_schema, base_name),
        modifier=modifier,
        element=TypeName(element_schema, element_name) if element_name else None,
        holds_times=holds_times,
        collation=tuple(collation) if collation else None,
        is_identity=is_identity,
        default=default,
    )


def _is_computed(target: TableTarget, column: Column) -> bool:
    """Return whether the route cannot write the column; no statement changes an identity, so it is for new rows."""
    if not column.is_always_identity or target.overriding is None:
        return column.computed
    return target.mode is not TableMode.APPEND and column.name not in target.key


def _of_computed(target: TableTarget, column: Column) -> str:
    what = f'column "{column.name}" of table "{target.name}"'
    if not column.is_always_identity:
        return f"{what} is computed by the database; leave it out of the columns"
    if target.overriding is not None:
        return f"{what} is GENERATED ALWAYS AS IDENTITY, which no existing row changes; make it part of the key"
    return (
        f"{what} is computed by the database (GENERATED ALWAYS AS IDENTITY); leave it out of the columns, or set "
        '[routes.table] overriding = "system" to write the values of events into it'
    )


def _problems(target: TableTarget, found: dict[str, Column], keys: list[frozenset[str]]) -> list[str]:
    compared = [*target.key, *([target.version] if target.version else [])]
    named = dict.fromkeys([*target.columns, *compared, *([target.deleted] if target.deleted else [])])
    problems = [
        f'the table "{target.name}" has no column "{name}"; it has {", ".join(found)}'
        for name in named
        if name not in found
    ]
    problems += [
        _of_computed(target, found[name])
        for name in target.columns
        if name in found and _is_computed(target, found[name])
    ]
    if target.mode is not TableMode.UPDATE:
        problems += [
            f'column "{column.name}" of table "{target.name}" is NOT NULL without a default; give it a source'
            for column in found.values()
            if column.not_null and not column.filled and not column.computed and column.name not in named
        ]
    problems += _problems_of_mark(target, found)
    if target.key and frozenset(target.key) not in keys and set(target.key) <= set(found):
        problems.append(
            f'the table "{target.name}" has no unique index on ({", ".join(target.key)}), which mode '
            f'"{target.mode}" needs; create one, or correct [routes.table] key'
        )
    return problems


def _problems_of_mark(target: TableTarget, found: dict[str, Column]) -> list[str]:
    """Return the problems of the column in which a soft delete is noted."""
    column = found.get(target.deleted or "")
    if column is None:
        return []
    if column.is_domain or column.base.name not in MARKS or column.computed:
        return [
            f'column "{column.name}" of table "{target.name}" is {column.declared}, in which no deletion can be noted; '
            "make it timestamptz, timestamp, date or boolean"
        ]
    if column.not_null and column.base.name != "bool":
        return [
            f'column "{column.name}" of table "{target.name}" is NOT NULL, and a row that is not deleted has no time '
            "of deletion; drop NOT NULL"
        ]
    return []
