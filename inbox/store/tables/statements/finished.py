"""Turn composed SQL into the text that psycopg sends."""

import re
from typing import cast

from psycopg import sql

_MARK = re.compile("\x01([0-9a-z_]+)\x01")


def parameter(name: sql.SQL) -> sql.Composable:
    """Return the mark of a parameter, which `finished` makes a placeholder."""
    return sql.SQL("\x01{}\x01").format(name)


def finished(statement: sql.Composable) -> bytes:
    """Return the text with psycopg's placeholders; every other percent sign, in names and pointers, is doubled."""
    text = statement.as_string().replace("%", "%%")
    return _MARK.sub(r"%(\1)s", cast(str, text)).encode()
