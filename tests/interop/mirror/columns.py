"""The columns of the mirrored table: their types, how the route reads them, and the values that they take."""

import random
import string
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

Chance = random.Random

SLOW_SHARE = 0.005
HARD_TEXT = (
    "",
    " ",
    "null",
    "NaN",
    "__debezium_unavailable",
    "a'b\"c\\d",
    "line\nbreak\ttab",
    "ß€𝄞\u200d\u202e",
    "\u0001",
)


@dataclass(frozen=True)
class MirrorColumn:
    """A column by its name and type.

    `source` is what the route says of it (TOML), `hard` are the values that have to pass (in
    PostgreSQL's text form), and `any` makes another one. `slow` are hard values on which the
    connector spends most of a second each time it meets their row, so they are drawn rarely.
    """

    name: str
    type: str
    hard: Sequence[str]
    any: Callable[[Chance], str]
    options: str = ""
    slow: Sequence[str] = ()

    @property
    def compared(self) -> str:
        """Return the expression whose texts are compared: jsonb has no negative zero, so -0 counts as 0."""
        return f'"{self.name}" + 0' if self.type in ("double precision", "real") else f'"{self.name}"'

    def source(self, *, schema: bool, row: str) -> str:
        """Return the right side of the column's line in `[routes.table.columns]`; a schema says what `as` would.

        `row` is the pointer to the row in the event.
        """
        pointer = f"{row}/{self.name}"
        return f'"{pointer}"' if schema or not self.options else f'{{ from = "{pointer}", {self.options} }}'

    def value(self, chance: Chance) -> str | None:
        """Return a value of the column: NULL, a hard one, or any."""
        draw = chance.random()
        if self.slow and draw > 1 - SLOW_SHARE:
            return chance.choice(self.slow)
        if draw < 0.1:
            return None
        return chance.choice(self.hard) if draw < 0.5 else self.any(chance)


def _whole(bits: int) -> Callable[[Chance], str]:
    return lambda chance: str(chance.randint(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1))


def _text(chance: Chance) -> str:
    return "".join(
        chance.choices(string.printable.replace("\x0b", "").replace("\x0c", "") + "äöü€𝄞", k=chance.randint(1, 30))
    )


def _large(chance: Chance) -> str:
    """Return a text that PostgreSQL keeps out of line, and that compression does not shorten below that."""
    return "".join(chance.choices(string.ascii_letters + string.digits, k=chance.randint(9_000, 12_000)))


def _decimal(chance: Chance) -> str:
    return f"{chance.randint(-(10**18), 10**18)}.{chance.randint(0, 10**9)}"


def _bytes(chance: Chance) -> str:
    return "\\x" + chance.randbytes(chance.randint(0, 20)).hex()


def _moment(chance: Chance) -> str:
    return f"{chance.randint(1, 9999):04}-{chance.randint(1, 12):02}-{chance.randint(1, 28):02} {_time(chance)}"


def _time(chance: Chance) -> str:
    hour, minute, second = chance.randint(0, 23), chance.randint(0, 59), chance.randint(0, 59)
    return f"{hour:02}:{minute:02}:{second:02}.{chance.randint(0, 999999):06}"


def _uuid(chance: Chance) -> str:
    digits = f"{chance.getrandbits(128):032x}"
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))


TEN = (
    MirrorColumn("flag", "boolean", ("true", "false"), lambda chance: chance.choice(("true", "false"))),
    MirrorColumn("small", "smallint", ("-32768", "32767", "0"), _whole(16)),
    MirrorColumn("big", "bigint", ("-9223372036854775808", "9223372036854775807", "9007199254740993"), _whole(64)),
    MirrorColumn(
        "amount", "numeric",
        ("NaN", "0", "0.0000", "1e-20", "-0.10"), _decimal, slow=("1" + "0" * 131071,),
    ),
    MirrorColumn(
        "real", "double precision",
        ("NaN", "Infinity", "-Infinity", "-0", "1e-20", "5e-324", "1.7976931348623157e308", "0.1"),
        lambda chance: repr(chance.uniform(-1e10, 1e10)),
    ),
    MirrorColumn("note", "text", HARD_TEXT, _text),
    MirrorColumn("large", "text", ("short",), _large),
    MirrorColumn("data", "bytea", ("\\x", "\\x00", "\\xff00ff"), _bytes),
    MirrorColumn("uid", "uuid", ("00000000-0000-0000-0000-000000000000",), _uuid),
    MirrorColumn("tags", "text[]", ("{}", "{NULL}", '{"",NULL,"a,b","{}"}', "{null}"), lambda chance: "{a,b}"),
)  # fmt: skip
"""Types whose JSON without a schema says all of the value."""


def _one_of(*values: str) -> Callable[[Chance], str]:
    return lambda chance: chance.choice(values)


def _date(chance: Chance) -> str:
    return _moment(chance)[:10]


def _document(chance: Chance) -> str:
    return f'{{"a": [{chance.randint(0, 99)}, 1.50, null], "ä": {{"b": "c"}}}}'


WIDE = (
    *TEN,
    MirrorColumn("whole", "integer", ("-2147483648", "2147483647"), _whole(32)),
    MirrorColumn(
        "single", "real", ("NaN", "Infinity", "-Infinity", "-0", "3.4028235e38", "1e-45", "0.1"), _one_of("1.5", "0.3")
    ),
    MirrorColumn(
        "price", "numeric(12,2)", ("0.00", "-9999999999.99", "NaN"), lambda chance: f"{chance.randint(0, 10**6)}.10"
    ),
    MirrorColumn("cash", "money", ("$0.00", "-$1,234.50"), _one_of("$1.10", "-$3.00")),
    MirrorColumn("name", "varchar(20)", HARD_TEXT[:4], lambda chance: _text(chance)[:20]),
    MirrorColumn("code", "char(5)", ("a", "abcde", ""), _one_of("ab", "ä")),
    MirrorColumn("folded", "citext", HARD_TEXT, _text),
    MirrorColumn("mood", "mood", ("sad", "so la la"), _one_of("happy")),
    MirrorColumn("positive", "positive", ("1", "2147483647"), _one_of("7")),
    MirrorColumn("label", "label", HARD_TEXT[:4], _one_of("x")),
    MirrorColumn(
        "day", "date",
        ("0001-01-01", "9999-12-31", "1970-01-01", "1969-12-31", "infinity", "-infinity", "0044-03-15 BC", "1582-10-10",
         "5874897-12-31"),
        _date, 'as = "epoch-days"',
    ),
    MirrorColumn(
        "local", "timestamp",
        ("0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", "1969-12-31 23:59:59.999999", "infinity", "-infinity",
         "0044-03-15 12:00:00 BC", "1582-10-10 00:00:00"),
        _moment, 'as = "epoch-us"',
    ),
    MirrorColumn("second", "timestamp(0)", ("9999-12-31 23:59:59", "infinity"), _moment, 'as = "epoch-ms"'),
    MirrorColumn(
        "moment", "timestamptz",
        ("1600-01-01 00:00:00Z", "9999-12-31 23:59:59.999999Z", "2026-03-29 01:30:00+01", "infinity", "-infinity",
         "2026-03-29 00:59:59.999999Z", "2026-03-29 01:00:00Z", "2026-10-25 00:59:59.999999Z",
         "0044-03-15 12:00:00Z BC"),
        lambda chance: f"{chance.randint(1600, 9999)}{_moment(chance)[4:]}Z",
    ),
    MirrorColumn("clock", "time", ("00:00:00", "23:59:59.999999", "24:00:00"), _time, 'as = "time-us"'),
    MirrorColumn("zoned", "timetz", ("00:00:00Z", "23:59:59.999999Z"), lambda chance: _time(chance) + "Z"),
    MirrorColumn(
        "span", "interval",
        ("0", "1 year 2 mons 3 days 04:05:06.789", "-1 mons +1 day", "-00:00:00.000001", "178000000 years",
         "1 day -00:00:01"),
        _one_of("1 day", "36:00:00"),
    ),
    MirrorColumn("document", "jsonb", ("{}", "[]", "null", '"text"', "1.10", '{"a": 1e-20}'), _document, 'as = "json"'),
    MirrorColumn("plain", "json", ("{}", "[]", '{"b":  1, "a": 2, "a": 3}'), _document, 'as = "json"'),
    MirrorColumn("pairs", "hstore", ("", 'a=>NULL', '"a\\"b"=>"c, d"', '"ä"=>""'), _one_of("a=>1", "a=>1,b=>2")),
    MirrorColumn("one_bit", "bit", ("0", "1"), _one_of("1")),
    MirrorColumn("bits", "bit(11)", ("00000000000", "11111111111", "00000000001"), _one_of("10000000000")),
    MirrorColumn("some_bits", "bit varying(9)", ("000000001", "111111111"), _one_of("100000000")),
    MirrorColumn("place", "point", ("(0,0)", "(-0,1e-20)", "(1.7976931348623157e308,-1)"), _one_of("(1.5,2.5)")),
    MirrorColumn("path", "ltree", ("", "a.b_c.D"), _one_of("top.sub")),
    MirrorColumn("address", "inet", ("::1", "10.0.0.1/8", "255.255.255.255"), _one_of("192.168.1.5")),
    MirrorColumn("net", "cidr", ("10.0.0.0/8", "::/0"), _one_of("192.168.1.0/24")),
    MirrorColumn("device", "macaddr", ("08:00:2b:01:02:03",), _one_of("00:00:00:00:00:00")),
    MirrorColumn("device8", "macaddr8", ("08:00:2b:01:02:03:04:05",), _one_of("00:00:00:00:00:00:00:00")),
    MirrorColumn("words", "tsvector", ("", "'a':1A 'b'"), _one_of("'c':2")),
    MirrorColumn("numbers", "integer[]", ("{}", "{NULL}", "{-2147483648,2147483647,NULL}"), _one_of("{1,2}")),
    MirrorColumn("longs", "bigint[]", ("{}", "{9223372036854775807}"), _one_of("{9007199254740993}")),
    MirrorColumn("flags", "boolean[]", ("{}", "{t,f,NULL}"), _one_of("{t}")),
    MirrorColumn("uids", "uuid[]", ("{}", "{NULL}"), _one_of("{6f9619ff-8b86-d011-b42d-00cf4fc964ff}")),
    MirrorColumn("amounts", "numeric[]", ("{}", "{1e-20,NULL,1.10}"), _one_of("{1.50}")),
    MirrorColumn(
        "days", "date[]", ("{}", "{0001-01-01,NULL,9999-12-31}"), _one_of("{2026-03-29}"), 'as = "epoch-days"'
    ),
    MirrorColumn(
        "locals", "timestamp[]", ("{}", "{9999-12-31 23:59:59.999999,NULL}"), _one_of("{2026-03-29 02:30:00}"),
        'as = "epoch-us"',
    ),
    MirrorColumn(
        "moments", "timestamptz[]", ("{}", "{9999-12-31 23:59:59.999999Z,NULL}"), _one_of("{2026-03-29 01:30:00Z}")
    ),
    MirrorColumn("moods", "mood[]", ("{}", "{sad}"), _one_of('{"so la la"}')),
    MirrorColumn("span_of", "int4range", ("empty", "[1,5)", "(,)"), _one_of("[2,7)")),
    MirrorColumn("long_span", "int8range", ("empty", "[1,9223372036854775807)", "(,5)"), _one_of("[2,7)")),
    MirrorColumn("amount_span", "numrange", ("empty", "[1e-20,1.10]", "(1.50,)"), _one_of("(1,2]")),
    MirrorColumn(
        "day_span", "daterange", ("empty", "[2026-01-01,2026-02-01)", "(,infinity)"), _one_of("[2026-03-29,)")
    ),
    MirrorColumn(
        "local_span", "tsrange", ("empty", '["2026-01-01 10:00:00.000001","9999-12-31 00:00:00"]'), _one_of("(,)")
    ),
    MirrorColumn(
        "moment_span", "tstzrange", ("empty", '["2026-03-29 00:59:59Z","2026-03-29 01:00:00Z")'), _one_of("(,)")
    ),
    MirrorColumn("page", "xml", ("<a/>", "<a>ä &amp; b</a>"), _one_of("<b c='d'/>")),
)  # fmt: skip
"""The types of PostgreSQL that Debezium maps to one value; the times have their units in the schema, or in `as`."""

SETUP = (
    "CREATE EXTENSION citext",
    "CREATE EXTENSION hstore",
    "CREATE EXTENSION ltree",
    "CREATE TYPE mood AS ENUM ('sad', 'happy', 'so la la')",
    "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)",
    "CREATE DOMAIN label AS varchar(9)",
)
"""What the types of the columns need."""

NEED_SCHEMA = {"document": ("null",), "plain": ('{"b":  1, "a": 2, "a": 3}',), "moment": ("0044-03-15 12:00:00Z BC",)}
"""Values that a record without a schema does not keep: a null of jsonb, the spaces and repeated names of json, and the
year 44 BC of a timestamptz, which is a text with the year -0043."""

NEED_SCHEMA_AT_ALL = ("one_bit", "bits", "some_bits", "place", "pairs")
"""Columns that become dead letters without a schema: bits are booleans or base64 there, a point is an object, and an
hstore is JSON text."""


def columns(*, schema: bool) -> list[MirrorColumn]:
    """Return the columns of a mirror, with the values that its records keep.

    The connector itself loses these, with any converter: the zone of a timetz, which arrives in UTC, and its 24:00:00;
    the length of a bit varying that is shorter than declared; an array of an enum with a NULL, which arrives as NULL;
    arrays of several dimensions, whose inner arrays arrive as NULL or as the name of a Java class.
    """
    if schema:
        return list(WIDE)
    return [
        replace(each, hard=[value for value in each.hard if value not in NEED_SCHEMA.get(each.name, ())])
        for each in WIDE
        if each.name not in NEED_SCHEMA_AT_ALL
    ]
