"""The matrix of values: what each kind of JSON becomes in a column of each type, and the page that shows it."""

import re
from collections.abc import Mapping
from typing import NamedTuple

SETUP = """
CREATE TYPE mood AS ENUM ('sad', 'happy');
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE span AS RANGE (subtype = float8);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN code AS varchar(3);
CREATE DOMAIN moment AS timestamptz;
"""

TYPES: Mapping[str, str] = {
    "smallint": "7",
    "integer": "7",
    "bigint": "7",
    "numeric": "1.50",
    "numeric(10,2)": "1.505",
    "real": "1.1",
    "double precision": "1.1",
    "money": "1.50",
    "oid": "7",
    "xid8": "7",
    "boolean": "yes",
    "text": "x",
    "varchar(5)": "x",
    "char(5)": "x",
    "name": "x",
    '"char"': "x",
    "bytea": "aGk=",
    "uuid": "6F9619FF-8B86-D011-B42D-00CF4FC964FF",
    "json": "x",
    "jsonb": "x",
    "jsonpath": "$.a",
    "xml": "<a/>",
    "date": "2026-01-31",
    "time": "10:00:00.123456",
    "timetz": "10:00:00+02",
    "timestamp": "2026-01-31T10:00:00+02:00",
    "timestamptz": "2026-01-31T10:00:00+02:00",
    "interval": "P1DT2H",
    "inet": "192.168.0.1/24",
    "cidr": "10.0.0.0/8",
    "macaddr": "08:00:2B:01:02:03",
    "macaddr8": "08:00:2b:01:02:03:04:05",
    "bit(3)": "101",
    "varbit(5)": "101",
    "point": "(1,2)",
    "line": "{1,2,3}",
    "lseg": "[(0,0),(1,1)]",
    "box": "(1,1),(0,0)",
    "path": "[(0,0),(1,1)]",
    "polygon": "((0,0),(1,1),(1,0))",
    "circle": "<(0,0),1>",
    "tsvector": "a b",
    "tsquery": "a & b",
    "pg_lsn": "16/B374D848",
    "int4range": "[1,5)",
    "int8range": "[1,5)",
    "numrange": "[1.5,2.5]",
    "daterange": "[2026-01-01,2026-02-01)",
    "tsrange": "[2026-01-01 10:00,2026-01-02 10:00)",
    "tsmultirange": "{[2026-01-01 10:00+02,2026-01-02 10:00+02)}",
    "tstzrange": "[2026-01-01 10:00+02,2026-01-02 10:00+02)",
    "int4multirange": "{[1,3),[5,7)}",
    "datemultirange": "{[2026-01-01,2026-02-01)}",
    "span": "[1.5,2.5]",
    "mood": "happy",
    "positive": "7",
    "code": "abc",
    "moment": "2026-01-31T10:00:00Z",
    "pair": "(1,x)",
    "integer[]": "{1,2}",
    "numeric[]": "{1.50}",
    "text[]": "{a,b}",
    "boolean[]": "{t,f}",
    "bytea[]": "{aGk=}",
    "timestamptz[]": "{2026-01-31T10:00:00Z}",
    "date[]": "{2026-01-31}",
    "uuid[]": "{6f9619ff-8b86-d011-b42d-00cf4fc964ff}",
    "jsonb[]": "{1}",
    "mood[]": "{sad,happy}",
    "int4range[]": '{"[1,5)"}',
    "positive[]": "{7}",
    "timestamp[]": "{2026-01-31 10:00:00+02}",
    "double precision[]": "{{1.5,2},{3,4}}",
}
"""Each type with a text that PostgreSQL reads as a value of it."""

KINDS: Mapping[str, str] = {
    "another text": '"no such value"',
    "integer": "7",
    "big integer": "123456789012345678901234567890",
    "decimal": "1.505",
    "exponent": "1e3",
    "true": "true",
    "false": "false",
    "object": '{"a": 1}',
    "empty object": "{}",
    "array": "[1, 2]",
    "array of arrays": "[[1, 2], [3, 4]]",
    "empty array": "[]",
    "null": "null",
    "missing": "",
}
"""Each kind of JSON, beside the text of the type, with its value."""


class Cell(NamedTuple):
    """The outcome of one value in one column: what the column holds, or else why the event is a dead letter."""

    held: str | None
    refusal: str | None = None

    def shown(self) -> str:
        """Return the cell of the page."""
        if self.refusal is not None:
            return _mark(self.refusal)
        return "NULL" if self.held is None else _code(self.held)


_MARKS = {
    "has no unit": "no unit",
    "is made of a JSON text": "not text",
    "is made of a JSON array": "not text",
    "cannot hold": "loses",
    "not a time of day alone": "loses",
    "which the type would drop": "loses",
}


def _mark(refusal: str) -> str:
    found = next((mark for text, mark in _MARKS.items() if text in refusal), None)
    states = re.findall(r"\(([0-9A-Z]{5})\)", refusal)
    return f"*{found or states[-1]}*"


def _code(text: str) -> str:
    fence = "``" if "`" in text else "`"
    shown = text.replace("|", "\\|")
    return f"{fence}{shown}{fence}" if text.strip() == text and text else f'`"{shown}"`'


HEAD = """# Every kind of JSON in every type

This page is generated and held by `tests/integration/store/tables/test_matrix.py`, which writes
each cell to a real PostgreSQL through a table route and reads it back. A column has a bare pointer
as its source, without `as`. The cell shows what the column holds then, as PostgreSQL prints it
(`NULL`: no value). Otherwise the event is a dead letter:

| the cell | the dead letter's text |
|---|---|
| *no unit* | `column "a" from /a: the number has no unit; set as = ...` |
| *not text* | `column "a" from /a: inet is made of a JSON text, and this is another kind of value; ...` |
| *loses* | `column "a" from /a: a time of day other than midnight`, `not a time of day alone`, `a time with a zone` |
| *22P02* and other codes | `column "a" from /a: a value that cannot be integer (22P02); ...`, with its SQLSTATE |

What a column holds may differ from the digits or letters in the event:

- `numeric(10,2)`, `real`, `double precision`, `money` and `time(p)`, `timestamp(p)`, `interval(p)`
  round to what their type holds, as PostgreSQL's own assignment does. `numeric` keeps every digit,
  and trailing zeros. `integer` refuses a fraction.
- `jsonb` decodes the document first, so that `1e3` is `1000`, and `-0` is `0`.
- A number, a boolean, an object or an array in a column of texts (`text`, `varchar`, `char`,
  `name`) is its JSON text. An object has its members in the order of `jsonb`.
- A JSON number in a `boolean` column is PostgreSQL's: 1 is true, 0 is false, any other is refused.
  The texts `yes`, `on`, `t` and `1` are true.
- `uuid`, `macaddr`, `inet` and `cidr` have one spelling: letters become lower case. `char(n)` is
  padded with blanks, and `bit(n)` is not.
- Ranges over whole numbers and days are stored with an exclusive upper bound.
- A `timestamp` column holds UTC. A `timestamptz` has no zone of its own: the moment is kept, the
  offset is not. `timetz` keeps its offset.
- `xml` accepts any text, since it may be a part of a document. `tsvector` takes the words of any
  text.
- In an array column each element follows the row of its element's type, in up to three dimensions.
  A text is PostgreSQL's own form of the array (`{{1,2},{3,4}}`).
- A type that an extension or a user made is given the text of the JSON value: `[1, 2]` for
  `vector`. A composite type takes PostgreSQL's text, `(1,x)`.
- Generated columns cannot be written, and identity columns `GENERATED ALWAYS` only where the route
  leaves them out.

"""


def page(cells: Mapping[tuple[str, str], Cell]) -> str:
    """Return the page for the cells by type and kind."""
    kinds = ["its text", *KINDS]
    lines = [
        HEAD + f"{len(cells)} cells:\n",
        "| type | " + " | ".join(["its text", *(_heading(kind) for kind in KINDS)]) + " |",
        "|---" * (len(kinds) + 1) + "|",
    ]
    for name, text in TYPES.items():
        shown = [cells[name, kind].shown() for kind in kinds]
        shown[0] = f"{_code(text)} → {shown[0]}"
        lines.append(f"| `{name}` | " + " | ".join(shown) + " |")
    return "\n".join(lines) + "\n"


def _heading(kind: str) -> str:
    return kind if not KINDS[kind] or kind in ("true", "false", "null") else f"{kind} `{KINDS[kind]}`"
