"""The names of a user's tables, resolved by one rule everywhere."""

import re

from psycopg import sql

_PART = re.compile(r'"((?:[^"]|"")+)"|([^".]+)')


def parts_of(name: str) -> list[str]:
    """Split `table` or `schema.table` into its names, as PostgreSQL stores them: `Orders` is not `orders`.

    A part may be in double quotes, as in SQL, for example a name with a dot.
    """
    parts, at = [], 0
    while (part := _PART.match(name, at)) is not None:
        parts.append(part[1].replace('""', '"') if part[1] is not None else part[2])
        if part.end() == len(name):
            return parts
        if name[part.end()] != ".":
            break
        at = part.end() + 1
    # It cannot be parsed, so the whole of it is a name that no table has.
    return [name]


def relation(name: str) -> sql.Identifier:
    """Return the table for a statement."""
    return sql.Identifier(*parts_of(name))


def resolvable(name: str) -> str:
    """Return the text by which `to_regclass` finds the table; without quotes it would fold the name to lower case."""
    return relation(name).as_string()
