"""Load the statements beside this file: one file per table, each statement under a line `-- name: ...`."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import LiteralString, cast

from psycopg import sql

_NAME = re.compile(r"^-- name: (\w+)\n", re.MULTILINE)
_GENERATION: LiteralString = "{generation}"


def statements(table: str, schema: str) -> Mapping[str, bytes]:
    """Return the statements of `<table>.sql` by name, with `{schema}` filled in.

    `{generation}` stays for `of_generation`.

    Raises:
        ValueError: a statement without a name, or two of one name (a mistake in the file).
    """
    text = (files(__name__) / f"{table}.sql").read_text(encoding="utf-8")
    head, *parts = _NAME.split(text)
    names, bodies = parts[::2], parts[1::2]
    if _without_comments(head) or len(set(names)) != len(names):
        raise ValueError(f"{table}.sql has a statement without a name, or two of one name")
    # The files are part of this package, so they are as safe as strings in the code.
    return {
        name: sql.SQL(cast(LiteralString, _without_comments(body)))
        .format(schema=sql.Identifier(schema), generation=sql.SQL(_GENERATION))
        .as_bytes()
        for name, body in zip(names, bodies, strict=True)
    }


def of_generation(statement: bytes, table: str) -> bytes:
    """Return the statement with `table`, the schema's table of one generation of claims, filled in."""
    return statement.replace(_GENERATION.encode(), table.encode())


def _without_comments(body: str) -> str:
    return "\n".join(line for line in body.splitlines() if not line.lstrip().startswith("--")).strip().rstrip(";")
