"""The program of a schema reads what the general reader reads, or leaves it to that: never another value."""

import ast
import random
import re
from typing import Any

import pytest

import inbox.reading.formats.avro.reader as module
from inbox.errors import EventError
from inbox.reading.formats.avro.program import program_of, program_text
from inbox.reading.formats.avro.reader import compile_avro
from inbox.reading.formats.avro.schemas import PreparedSchema
from inbox.relay.formats.avro.writer import compile_avro as writer
from tests.support.schemas import avro


def field(name: str, kind: Any) -> dict[str, Any]:
    return {"name": name, "type": kind}


def logical(kind: str, logical_type: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "logicalType": logical_type, **more}


ARRAY, MAP = {"type": "array", "items": "int"}, {"type": "map", "values": "int"}
INNER = {"type": "record", "name": "I", "fields": [field("a", "int"), field("b", ["null", "string"])]}
SCHEMA = {
    "type": "record",
    "name": "R",
    "fields": [
        field("id", "long"),
        field("s", "string"),
        field("o", ["null", "long", "string", INNER]),
        field("i", "I"),
        field("e", {"type": "enum", "name": "E", "symbols": ["A", "B", "C"]}),
        field("f", {"type": "fixed", "name": "F", "size": 3}),
        field("d", logical("bytes", "decimal", precision=20, scale=3)),
        field("t", logical("long", "timestamp-micros")),
        field("l", logical("long", "local-timestamp-millis")),
        field("m", logical("int", "time-millis")),
        field("day", logical("int", "date")),
        field("u", logical("string", "uuid")),
        field("x", "double"),
        field("y", "float"),
        field("z", "boolean"),
        field("raw", "bytes"),
        field("nothing", "null"),
    ],
}
DOCUMENT = (
    b'{"id": -1234567890123, "s": "Gr\xc3\xbc\xc3\x9fe", "o": {"a": 300, "b": null}, "i": {"a": -1, "b": "x"},'
    b' "e": "B", "f": "YWJj", "d": "-1234567.891", "t": "2024-02-29T12:34:56.789012Z",'
    b' "l": "1969-12-31T23:59:59.5", "m": "12:34:56.789", "day": "1960-01-01",'
    b' "u": "6f9619ff-8b86-d011-b42d-00c04fc964ff", "x": 0.1, "y": 0.5, "z": true, "raw": "AP8=", "nothing": null}'
)


def left(_: bytes) -> Any:
    """A general reader that reads nothing."""
    raise ValueError


@pytest.fixture
def general(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A reader of the schema without its program."""
    monkeypatch.setattr(module, "program_of", lambda *_: None)
    return compile_avro(avro(SCHEMA))


def test_the_program_reads_every_type_as_the_general_reader_does(general: Any) -> None:
    data = writer(avro(SCHEMA))(DOCUMENT)
    program = program_of(PreparedSchema(avro(SCHEMA)).schema, left)
    assert program is not None
    assert repr(program(data)) == repr(general(data))


def test_of_damaged_values_the_program_reads_none_in_another_way(general: Any) -> None:
    data = writer(avro(SCHEMA))(DOCUMENT)
    program = program_of(PreparedSchema(avro(SCHEMA)).schema, left)
    assert program is not None
    chance, read = random.Random(7), 0
    for _ in range(20_000):
        damaged = bytearray(data)
        for _ in range(chance.choice([1, 1, 1, 2, 5])):
            damaged[chance.randrange(len(damaged))] = chance.choice([0, 1, 2, 127, 128, 255, chance.randrange(256)])
        if chance.random() < 0.2:
            del damaged[chance.randrange(len(damaged)) :]
        try:
            found = program(bytes(damaged))
        except Exception:  # noqa: BLE001, S112 - left to the general reader
            continue
        read += 1
        try:
            assert repr(general(bytes(damaged))) == repr(found)
        except EventError as error:
            raise AssertionError(f"read what the general reader refuses: {error}") from None
    assert read > 1000


@pytest.mark.parametrize(
    "schema",
    [{"type": "array", "items": "int"}, {"type": "map", "values": "int"}, ["null", {"type": "map", "values": "int"}]],
)
def test_arrays_and_maps_are_left_to_the_general_reader(schema: Any) -> None:
    assert program_of(PreparedSchema(avro(schema)).schema, left) is None


def test_a_large_schema_is_left_to_the_general_reader() -> None:
    schema = {"type": "record", "name": "R", "fields": [field(f"f{n}", "int") for n in range(500)]}
    assert program_of(PreparedSchema(avro(schema)).schema, left) is None


def test_unions_in_unions_of_records_are_read() -> None:
    schema: Any = "int"
    for level in range(8):
        schema = ["null", {"type": "record", "name": f"R{level}", "fields": [field("a", schema)]}]
    data = b"\x02" * 8 + b"\x08"
    program = program_of(PreparedSchema(avro(schema)).schema, left)
    assert program is not None
    assert program(data) == compile_avro(avro(schema))(data)


HOSTILE = "x'); import os; os.system('true') #\n    "
OWN_WORDS = re.compile(
    r"[vc]\d+|[bdnpsE]|read|unpack_float|unpack_double|whole|Decimal|exact|UUID|Date|TimeOfDay|Timestamp|len|Exception"
    r"|general"
)
OWN_TEXTS = {"big"}


def hostile() -> Any:
    """A schema as nobody's parser would let it through, with text wherever the program takes something from it."""
    fields = [
        field(HOSTILE, "long"),
        field(HOSTILE + "2", {"type": "enum", "name": HOSTILE, "symbols": [HOSTILE, "B"]}),
        field(HOSTILE + "3", logical("bytes", "decimal", precision=4, scale=2)),
        field(HOSTILE + "4", {"type": "fixed", "name": HOSTILE + "5", "size": 3}),
        field(HOSTILE + "6", ["null", {"type": "record", "name": HOSTILE + "7", "fields": [field(HOSTILE, "string")]}]),
    ]
    return {"type": "record", "name": HOSTILE + "8", "fields": fields}


def test_the_program_holds_no_word_of_the_schema() -> None:
    found = program_text(hostile())
    assert found is not None
    text, constants = found
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Name(id=word) | ast.arg(arg=word):
                assert OWN_WORDS.fullmatch(word)
            case ast.Constant(value=str(word)):
                assert word in OWN_TEXTS
            case ast.Import() | ast.ImportFrom():
                raise AssertionError
    assert HOSTILE in constants.values()


@pytest.mark.parametrize(
    "kind", [{"type": "fixed", "name": "F", "size": HOSTILE}, logical("bytes", "decimal", precision=4, scale=HOSTILE)]
)
def test_what_has_to_be_a_number_is_one_in_the_program(kind: Any) -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        program_text({"type": "record", "name": "R", "fields": [field("a", kind)]})
