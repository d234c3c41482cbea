"""A decoded column becomes a binary array where its values have one type, and a text or a refusal otherwise."""

import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from inbox.errors import EventError
from inbox.reading.values import DAY, INFINITE, Bits, Date, Interval, Json, TimeOfDay, Timestamp
from inbox.store.options import ColumnSource, Reading
from inbox.store.postgres import arrays
from inbox.store.tables.columns import Column, TypeName
from inbox.store.tables.decoded.column import DecodedColumn

MOMENT = Timestamp(1_700_000_000_000_000_000)
ANYTHING = [
    True,
    1,
    1.5,
    Decimal("1.5"),
    "x",
    b"x",
    UUID(int=1),
    {"a": 1},
    [1],
    Date(0),
    TimeOfDay(0),
    MOMENT,
    Interval(1),
    Json("{}"),
    Bits("1"),
]


def column(declared: str, *, element: str | None = None) -> Column:
    kind = TypeName("pg_catalog", declared)
    return Column(
        name="it",
        type=kind,
        declared=declared,
        is_domain=False,
        not_null=False,
        filled=False,
        computed=False,
        has_default=False,
        base=kind,
        modifier=-1,
        element=TypeName("pg_catalog", element) if element else None,
        holds_times=False,
    )


def decoded(declared: str, reading: Reading | None = None, element: str | None = None, **more: Any) -> DecodedColumn:
    return DecodedColumn(column(declared, element=element), ColumnSource("/x", reading=reading, **more))


def packed(of: DecodedColumn, *values: Any) -> arrays.PackedArray:
    return of.pack([{"x": value} for value in values])


def text(of: DecodedColumn, value: Any) -> str:
    """Return the text that is sent beside a value of another type, which keeps the array from being binary."""
    array = of.pack([{"x": value}])
    assert isinstance(array, arrays.Texts), type(array)
    return array.packed[24:].decode()


def refusal(of: DecodedColumn, value: Any) -> str:
    with pytest.raises(EventError) as refused:
        packed(of, value)
    assert {0: str(refused.value)} == {place: str(error) for place, error in of.refused([{"x": value}]).items()}
    return str(refused.value)


@pytest.mark.parametrize(
    ("declared", "values", "kind"),
    [
        ("int4", [1, None, -(2**63)], arrays.Int8s),
        ("int2", [2**63 - 1], arrays.Int8s),
        ("int8", [2**63], arrays.Texts),
        ("int8", ["1", 1], arrays.Texts),
        ("int8", ["1", None], arrays.Texts),
        ("numeric", [1, 2], arrays.Int8s),
        ("numeric", [1, Decimal("1.5")], arrays.Texts),
        ("float8", [1.5, float("nan"), None], arrays.Float8s),
        ("bool", [True, False, None], arrays.Bools),
        ("text", ["a", None], arrays.Texts),
        ("bytea", [b"", b"\x00"], arrays.Byteas),
        ("uuid", [UUID(int=1), None], arrays.Uuids),
        ("date", [Date(0), Date(INFINITE)], arrays.Dates),
        ("date", [Date(0), MOMENT], arrays.Texts),
        ("timestamptz", [MOMENT, Timestamp(-INFINITE)], arrays.Timestamptzs),
        ("timestamp", [MOMENT, None], arrays.Timestamptzs),
        ("jsonb", [{"a": 1}], arrays.Texts),
        ("int4", [None, None], arrays.Texts),
    ],
)
def test_values_of_one_type_are_sent_without_a_text(declared: str, values: list[Any], kind: type) -> None:
    assert type(packed(decoded(declared), *values)) is kind


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("int8", 2**64, str(2**64)),
        ("int8", Decimal(5), "5"),
        ("int4", "7", "7"),
        ("float8", 3, "3"),
        ("numeric", float("nan"), "NaN"),
        ("text", 5, "5"),
        ("text", True, "true"),
        ("text", MOMENT, "2023-11-14 22:13:20+00"),
        ("text", {"a": [1]}, '{"a":[1]}'),
        ("jsonb", "x", '"x"'),
        ("jsonb", Json('{"a": 1}'), '{"a": 1}'),
        ("jsonb", {"at": MOMENT, "blob": b"\x00"}, '{"at":"2023-11-14T22:13:20+00","blob":"AA=="}'),
        ("jsonb", [Decimal("1.10"), float("nan")], '[1.10,"NaN"]'),
        ("timestamptz", Date(0), "1970-01-01"),
        ("timestamptz", "2024-01-01T00:00:00.123456789Z", "2024-01-01T00:00:00.123456Z"),
        ("date", "20240131", "20240131"),
        ("date", MOMENT, "2023-11-14 22:13:20+00"),
        ("time", TimeOfDay(0, 3600), "23:00:00"),
        ("timetz", TimeOfDay(0), "00:00:00+00"),
        ("interval", Interval(1, 2, 3_000_000), "1 mons 2 days 00:00:00.003000"),
        ("bit", True, "1"),
        ("varbit", Bits("0101"), "0101"),
        ("inet", "10.0.0.1", "10.0.0.1"),
        ("hstore", {"a": "1", "b": None, 'c"\\': ""}, '"a"=>"1","b"=>NULL,"c\\"\\\\"=>""'),
        ("hstore", Json('{"a":"1"}'), '"a"=>"1"'),
        ("point", {"x": 1.5, "y": -2.0}, "(1.5,-2.0)"),
        ("geometry", {"wkb": b"\x01\x02", "srid": 4326}, "SRID=4326;0102"),
    ],
)
def test_a_value_of_another_type_is_sent_as_a_text(declared: str, value: Any, expected: str) -> None:
    assert text(decoded(declared), value) == expected


@pytest.mark.parametrize(
    ("element", "value", "expected"),
    [
        ("int4", [1, None, 2], '{"1",NULL,"2"}'),
        ("int4", [[1, 2], [3, 4]], '{{"1","2"},{"3","4"}}'),
        ("text", [], "{}"),
        ("text", ['a"\\,{}', "NULL", ""], '{"a\\"\\\\,{}","NULL",""}'),
        ("timestamptz", [MOMENT], '{"2023-11-14 22:13:20+00"}'),
        ("jsonb", [{"a": 1}, [1]], '{"{\\"a\\":1}","[1]"}'),
        ("int4", "{1,2}", "{1,2}"),
    ],
)
def test_a_list_is_the_text_of_an_array(element: str, value: Any, expected: str) -> None:
    assert text(decoded("_" + element, element=element), value) == expected


@pytest.mark.parametrize(
    ("reading", "declared", "value", "expected"),
    [
        (Reading.EPOCH_S, "date", Decimal("1700000000.123456789"), "2023-11-14 22:13:20.123456+00"),
        (Reading.EPOCH_S, "date", 1.5, "1970-01-01 00:00:01.500000+00"),
        (Reading.EPOCH_MS, "date", "-1", "1969-12-31 23:59:59.999000+00"),
        (Reading.TIME_US, "time", 1, "00:00:00.000001"),
        (Reading.TIME_MS, "interval", -1, "0 mons 0 days -00:00:00.001000"),
        (Reading.JSON, "jsonb", '{"a":1}', '{"a":1}'),
        (Reading.TEXT, "jsonb", 5, '"5"'),
        (Reading.TEXT, "text", b"abc", "abc"),
    ],
)
def test_as_gives_a_value_its_meaning(reading: Reading, declared: str, value: Any, expected: str) -> None:
    assert text(decoded(declared, reading), value) == expected


def test_as_gives_binary_values_too() -> None:
    assert packed(decoded("bytea", Reading.BASE64), "AP8=").packed == arrays.byteas([b"\x00\xff"]).packed
    assert packed(decoded("bytea", Reading.HEX), "\\x00ff").packed == arrays.byteas([b"\x00\xff"]).packed
    assert text(decoded("numeric", Reading.DECIMAL_BYTES, scale=2), b"\x30\x39") == "123.45"
    assert text(decoded("numeric", Reading.DECIMAL_BYTES, scale=2), "MDk=") == "123.45"
    days = packed(decoded("date", Reading.EPOCH_DAYS), 10_957)
    assert (type(days), days.packed[-4:]) == (arrays.Dates, bytes(4))
    moments = packed(decoded("timestamptz", Reading.EPOCH_US), 946_684_800_000_001)
    assert (type(moments), moments.packed[-8:]) == (arrays.Timestamptzs, (1).to_bytes(8, "big"))


def test_nanoseconds_are_cut_off_toward_the_past() -> None:
    before_2000 = Timestamp(10_957 * DAY - 1)
    assert packed(decoded("timestamptz"), before_2000).packed[-8:] == (-1).to_bytes(8, "big", signed=True)


@pytest.mark.parametrize(
    ("declared", "value", "expected"),
    [
        ("int4", {"a": 1}, 'column "it" from /x: int4 cannot take an object; point to a part of it, or make the '),
        ("int4", 1.5, 'column "it" from /x: int4 cannot take a floating-point number; make the column double'),
        ("int4", Decimal("1.50"), "int4 cannot take a decimal with digits behind its point; make the column nume"),
        ("int4", True, "int4 cannot take true or false; make the column boolean"),
        ("bool", 1, "bool cannot take a whole number; make the column bigint"),
        ("date", b"x", "date cannot take bytes; make the column bytea"),
        ("date", 19_749, 'date cannot take a number without a unit; set as = "epoch-ms"'),
        ("time", 19_749, 'time cannot take a number without a unit; set as = "time-us"'),
        ("timestamptz", "19749", "timestamptz cannot take a text of digits alone, which has no unit; set"),
        ("timestamptz", "now", "a word for a time (now, today, tomorrow, yesterday or allballs), which"),
        ("timestamptz", TimeOfDay(0), "timestamptz cannot take a time of day; make the column time"),
        ("time", MOMENT, "time cannot take a timestamp; make the column timestamptz or timestamp"),
        ("text", b"x", "text cannot take bytes; make the column bytea"),
        ("bytea", "x", 'bytea cannot take a text; set as = "base64" (or hex, text)'),
        ("int8", MOMENT, "int8 cannot take a timestamp; make the column timestamptz or timestamp"),
        ("jsonb", "\x00", "a value that JSON cannot express: a text in it holds NUL"),
        ("json", Json("{"), "a text that is not JSON"),
        ("hstore", {"a": 1}, "an object whose members are not all texts"),
        ("point", {"x": "1"}, "an object without the numbers x and y"),
        ("_int4", [{"a": 1}], "_int4 cannot take an object"),
    ],
)
def test_what_a_column_cannot_be_is_refused_with_a_remedy(declared: str, value: Any, expected: str) -> None:
    element = declared[1:] if declared.startswith("_") else None
    assert expected in refusal(decoded(declared, element=element), value)


@pytest.mark.parametrize(
    ("reading", "declared", "value", "expected"),
    [
        (
            Reading.EPOCH_US,
            "timestamptz",
            MOMENT,
            'column "it" from /x: as = "epoch-us" contradicts the',
        ),
        (Reading.EPOCH_DAYS, "date", Date(0), 'as = "epoch-days" contradicts the schema, by which the value is a date'),
        (Reading.BASE64, "bytea", b"x", 'as = "base64" contradicts the schema, by which the value is bytes'),
        (
            Reading.DECIMAL_BYTES,
            "numeric",
            Decimal(1),
            'as = "decimal-bytes" contradicts the schema, by which',
        ),
        (Reading.EPOCH_S, "timestamptz", "tomorrow", 'a text that is not a number, which as = "epoch-s" needs'),
        (Reading.EPOCH_S, "timestamptz", float("inf"), "a number beyond every time"),
        (Reading.EPOCH_S, "timestamptz", 1267650600228229401497, "a number beyond every time"),
        (Reading.EPOCH_MS, "timestamp", "-1" + "0" * 35, "a number beyond every time"),
        (Reading.EPOCH_DAYS, "date", 10**40, "a number beyond every time"),
        (Reading.TIME_US, "interval", 10**40, "a number beyond every time"),
        (Reading.TIME_MS, "time", 86_400_001, "a number that is not a time of day in its unit"),
        (Reading.BASE64, "bytea", "?", "a text that is not base64"),
        (Reading.TEXT, "text", b"\xff", "bytes that are not UTF-8"),
    ],
)
def test_as_that_contradicts_the_value_is_refused(reading: Reading, declared: str, value: Any, expected: str) -> None:
    assert expected in refusal(decoded(declared, reading), value)


@pytest.mark.parametrize(
    "declared", ["int4", "numeric", "bool", "text", "bytea", "uuid", "date", "time", "jsonb", "xml"]
)
@pytest.mark.parametrize("value", ANYTHING, ids=lambda value: type(value).__name__)
def test_every_pair_of_types_is_sent_or_refused_without_the_value(declared: str, value: Any) -> None:
    of = decoded(declared)
    refused = of.refused([{"x": value}])
    if refused:
        assert str(refused[0]).startswith('column "it" from /x: ')
        assert "; " in str(refused[0])
    else:
        packed(of, value)


def test_absence_tells_a_null_from_an_absent_member() -> None:
    of = decoded("int4")
    assert of.absences([{"x": 1}, {"x": None}, {}]) == [False, False, True]
    assert of.values([{"x": 1}, {"x": None}, {}, None]) == [1, None, None, None]


def test_a_pointer_leads_through_objects_and_arrays() -> None:
    of = DecodedColumn(column("int4"), ColumnSource("/a/1/b"))
    rows = [{"a": [0, {"b": 5}]}, {"a": [0]}, {"a": {"1": {"b": 6}}}, {"a": 1}, {}]
    assert of.values(rows) == [5, None, 6, None, None]
    assert of.absences(rows) == [False, True, False, True, True]


def test_a_decimal_beyond_doubles_keeps_its_digits_beside_other_kinds_of_values() -> None:
    array = packed(decoded("numeric"), Decimal("1E+400"), 5)
    assert array.packed.endswith(b"1" + b"0" * 400 + b"\x00\x00\x00\x015")


@pytest.mark.parametrize(
    ("declared", "value"),
    [
        ("date", Date(10**10)),
        ("date", Date(-2_440_589)),
        ("timestamptz", Timestamp(9_224_318_016_000_000 * 1_000_000)),
        ("timestamptz", Timestamp(-210_866_803_200_000_001 * 1000)),
    ],
)
def test_a_time_beyond_postgresql_is_sent_as_a_text_which_its_column_refuses(declared: str, value: Any) -> None:
    assert isinstance(packed(decoded(declared), value), arrays.Texts)


def test_the_first_and_the_last_time_of_postgresql_are_sent_as_they_are() -> None:
    last_day, last_moment = Date(2_145_042_905), Timestamp((9_224_318_016_000_000 * 1000 - 1) * 1000)
    assert isinstance(packed(decoded("date"), Date(-2_440_588), last_day), arrays.Dates)
    assert isinstance(
        packed(decoded("timestamptz"), Timestamp(-210_866_803_200_000_000 * 1000), last_moment), arrays.Timestamptzs
    )


_PARTS = ["2024-01-31", "T", " ", "10:00:00", ".123", "456789", "Z", "+01:00", "-0130", "now", "TODAY", "12", "1e3"]
_PARTS += ["\n", "", "\x00", "-", "\ud800", "infinity", "epoch", "1.5", "٣"]


@pytest.mark.parametrize("declared", ["numeric", "int8", "float8", "timestamptz", "timestamp", "date"])
def test_texts_are_sent_together_as_one_by_one(declared: str) -> None:
    chance, together, alone = random.Random(5), decoded(declared), decoded(declared)
    alone._packings = {}  # each value is looked at by itself
    usual = ["2024-01-31T10:00:00.123Z", "2024-01-31 10:00:00+01", "2024-01-31", "12.50", None]
    for _ in range(3000):
        odd = "".join(chance.choices(_PARTS, k=chance.randrange(4)))
        rows = [{"x": value} for value in (*chance.choices(usual, k=2), odd)]
        said = []
        for each in (together, alone):
            try:
                said.append(each.pack(rows).packed)
            except EventError as error:
                said.append(str(error).encode())
        assert said[0] == said[1], odd


def test_rows_that_lack_the_member_or_are_none_have_no_value() -> None:
    assert decoded("int8").values([{"x": 1}, {}, None, [1], "x", {"x": 2}]) == [1, None, None, None, None, 2]
    assert decoded("int8").values([{"x": 1}, {"x": 2}]) == [1, 2]
