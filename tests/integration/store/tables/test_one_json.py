"""One definition of valid JSON: the same document has the same verdict, id and type wherever it is read."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from inbox.document_bounds import excess
from inbox.documents import NAME_DIGITS
from inbox.errors import EventError, InboxError
from inbox.events import decoded
from inbox.sink.batch import NO_ID
from inbox.sink.decoder import TopicDecoder
from inbox.sink.event_id import as_id, namespace_of
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import OutboxOptions, TableMode, Tombstones
from inbox.store.outbox.publisher import Outbox
from inbox.store.postgres.connection import Connection
from tests.support.records import record
from tests.support.store.table_routes import MakeRoute

many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

NUMBERS = [
    *("0", "-0", "1", "1.0", "1.50", "1e2", "-0.0", "18446744073709551615", "18446744073709551616", "1e400", "1E-400"),
    *(
        "-9223372036854775809",
        "99999999999999999999999999.9",
        "1e999",
        "1e1000",
        "1e-999",
        "1e-1000",
        "1e131071",
        "1e-16383",
    ),
    *(
        "0e-16384",
        "0e999",
        "0e00000000000999",
        "0e1000",
        "0e1073741824",
        "0e99999999999",
        "01",
        "1.",
        ".5",
        "-",
        "+1",
        "1e",
        "NaN",
    ),
    *(
        "1" * 131_072,
        "1" * 131_073,
        "0." + "1" * 16_383,
        "0." + "1" * 16_384,
        "-" + "9" * 4301,
        "0." + "0" * 15_500 + "e-999",
        "9" * 131_072 + "e1",
    ),
]
TEXTS = [
    *('""', '"A-1"', '"\\u0000"', '"\\\\u0000"', '"a\\\\\\u0000"', '"\\ud800"', '"\\udc00"', '"\\ud83d\\ude00"'),
    *(
        '"\\ud83d\\ud83d"',
        '"\\u00e9"',
        '"\\x"',
        '"a\nb"',
        '"\x7f"',
        '"\u2028"',
        "'a'",
        '"6F9619FF-8B86-D011-B42D-00CF4FC964FF"',
    ),
]
leaves = st.sampled_from([*NUMBERS, *TEXTS, "null", "true", "false", "True", "Infinity"])
values = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda found: "[" + ",".join(found) + "]")
        | st.lists(st.tuples(st.sampled_from(['"id"', '"type"', '"a"', '"a\\u0000"', "1"]), inner), max_size=3).map(
            lambda found: "{" + ",".join(f"{name}:{value}" for name, value in found) + "}"
        )
    ),
    max_leaves=6,
)
objects = st.builds(
    lambda event_id, event_type, rest: f'{{"id":{event_id},"type":{event_type},"rest":{rest}}}', values, values, values
)
broken = st.lists(st.sampled_from([*'{}[],:" \t\n', "\ufeff", "1", '"a"', "1e400", "null", "x", "\\"]), max_size=6).map(
    "".join
)
documents = (objects | values | broken).map(str.encode) | st.binary(max_size=6).map(
    lambda odd: b'{"id":"' + odd + b'"}'
)


class Readers:
    """All that read a document."""

    def __init__(self, connection: Connection, route: MakeRoute) -> None:
        self._connection = connection
        self._outbox = Outbox("inbox", OutboxOptions(), sink="s", route="r")
        self._table = route(
            "id text, type text, whole json, parsed jsonb",
            {"id": "/id", "type": "/type", "whole": "$value", "parsed": "$value"},
        )
        target = HandlerTarget(entry_point="h")
        reads_both = Route(name="r", topics=("orders",), target=target, event_id="value:/id", event_type="value:/type")
        self._decoder = TopicDecoder("orders", None, [reads_both])

    def jsonb(self, document: bytes) -> tuple[str | None, str | None, str | None, str | None] | None:
        """The id, its kind, the type and its kind; None where PostgreSQL takes it for no JSON."""
        query = (
            "SELECT d ->> 'id', jsonb_typeof(d -> 'id'), d ->> 'type', jsonb_typeof(d -> 'type')"
            " FROM (SELECT convert_from(%s, 'UTF8')::jsonb OFFSET 0) AS t (d)"
        )
        try:
            return self._connection.execute(query, (document,)).fetchone()  # type: ignore[return-value]
        except InboxError:
            return None

    def handler(self, document: bytes) -> bool:
        try:
            decoded(document)
        except EventError:
            return False
        return True

    def publish(self, document: bytes) -> bool:
        try:
            self._outbox.stored(document)
        except EventError:
            return False
        return True

    def table(self, document: bytes) -> bool:
        try:
            with self._connection.transaction(force_rollback=True):
                self._table.write(record(value=document))
        except EventError:
            assert "JSON" in self._table.refusal(record(value=document)).upper()
            return False
        return True

    def identity(self, document: bytes) -> tuple[bytes, str | None, str | None]:
        """The id, the type, and why there is none."""
        columns = self._decoder.new_columns()
        self._decoder.add(record(value=document), columns.values())
        found = columns["r"]
        return found.ids[0], found.types[0], str(found.refused[0]) if found.refused else None


@pytest.fixture(name="readers")
def readers_(connection: Connection, route: MakeRoute) -> Readers:
    """Over one table."""
    return Readers(connection, route)


def text_of_id(text: str | None, kind: str | None, document: bytes) -> str | None:
    """The id as the rule has it: a text, or a number as it is written where that is without fraction and exponent."""
    if kind == "string":
        return text or None
    if kind != "number" or text is None:
        return None
    written: Any = json.loads(document, parse_float=lambda _: None, parse_int=Decimal)
    is_whole = isinstance(written, dict) and written["id"] is not None
    return text if is_whole and len(text.lstrip("-")) <= NAME_DIGITS else None


def has_long_exponent(document: bytes) -> bool:
    """Of a document that PostgreSQL takes."""
    numbers: list[str] = []
    json.loads(document, parse_float=numbers.append, parse_int=str)
    return any(len(number.lower().partition("e")[2].lstrip("+-0")) > 3 for number in numbers)


def test_all_readers_of_a_document_agree(readers: Readers) -> None:
    @many
    @given(documents)
    @example(b'{"id":18446744073709551616,"type":18446744073709551617}')
    @example(b'{"id":"A-1","rest":1e400}')
    @example(b'{"id":"A-1","id":"A-2","type":true}')
    def check(document: bytes) -> None:
        found = readers.jsonb(document)
        if found is not None and has_long_exponent(document):
            found = None
        valid = found is not None
        assert readers.handler(document) is valid
        assert readers.publish(document) is valid
        assert readers.table(document) is valid
        event_id, event_type, refusal = readers.identity(document)
        if found is None:
            assert event_id == NO_ID
            assert refusal is not None
            assert refusal.startswith("the value is not valid JSON: ")
            return
        text = text_of_id(found[0], found[1], document)
        assert event_id == (as_id(text, namespace_of("orders")) if text else NO_ID)
        assert (refusal is None) is (text is not None)
        if found[3] in ("string", "boolean"):
            assert event_type == found[2]

    check()


@pytest.mark.parametrize("levels", [1024, 1025, 3000])
@pytest.mark.parametrize("inside", ["1", "1e400", '"["'])
def test_all_readers_end_at_one_depth(readers: Readers, levels: int, inside: str) -> None:
    document = f'{{"id":"A","rest":{"[" * (levels - 1)}{inside}{"]" * (levels - 1)}}}'.encode()
    valid = levels <= 1024

    assert (excess(document) is None) is valid
    assert readers.handler(document) is readers.publish(document) is readers.table(document) is valid
    assert (readers.identity(document)[2] is None) is valid


def test_a_column_holds_the_number_that_a_handler_sees(route: MakeRoute) -> None:
    number = "123456789012345678901234567890"
    it = route("a numeric, b text, c jsonb", {"a": "/n", "b": "/n", "c": "/n"})
    value = f'{{"n": {number}}}'.encode()
    it.write(record(value=value))

    assert it.rows() == [(Decimal(number), number, decoded(value)["n"])]


@pytest.mark.parametrize("key", ['{"id": 18446744073709551616, "x": 1e400}', "18446744073709551616"])
def test_a_tombstones_key_is_read_as_the_values_are(route: MakeRoute, key: str) -> None:
    it = route(
        "id numeric PRIMARY KEY", {"id": "/id"}, mode=TableMode.UPSERT, key=("id",), tombstones=Tombstones.DELETE
    )
    it.write(record(0, value=b'{"id": 18446744073709551616}'))
    it.write(record(1, key=key.encode(), value=None))

    assert it.rows() == []


@pytest.mark.parametrize("beside", [{"id": "/id"}, {"id": "$key"}], ids=["with a pointer", "without one"])
def test_columns_from_the_whole_value_hold_it(route: MakeRoute, beside: dict[str, str]) -> None:
    it = route(
        "id text PRIMARY KEY, document jsonb, whole json, text text",
        {**beside, "document": "$value", "whole": "$value", "text": "$value"},
        mode=TableMode.UPSERT,
        key=("id",),
        tombstones=Tombstones.DELETE,
    )
    it.write(record(0, key=b"a", value=b'{"id":"a", "n": 1.50}'), record(1, key=b"b", value=b'{"id":"b"}'))
    it.write(record(2, key=b"b", value=None), record(3, key=b"c", value=b'{"id":"c", "n":1e2}'))

    assert it.texts("id || document || whole || text") == [
        'a{"n": 1.50, "id": "a"}{"id":"a", "n": 1.50}{"id":"a", "n": 1.50}',
        'c{"n": 100, "id": "c"}{"id":"c", "n":1e2}{"id":"c", "n":1e2}',
    ]
