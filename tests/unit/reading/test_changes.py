"""A change whose row is cut out of its JSON says what the whole document says: another way is only faster."""

import json
import random
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from inbox.documents import parse
from inbox.errors import EventError
from inbox.reading.changes import _content
from inbox.reading.envelopes.debezium import UNAVAILABLE
from inbox.reading.envelopes.debezium_split import split_change
from inbox.reading.options import Envelope, ReadOptions, Truncates
from inbox.reading.readers import reader_of
from inbox.reading.values import Date, Interval, Json, TimeOfDay, Timestamp
from tests.support.records import record

POSTGRESQL = {"connector": "postgresql", "name": "shop", "db": "d", "schema": "s", "table": "t", "lsn": 7, "txId": 5}
FLAT = '{"id":1,"amount":12.50,"note":"a text, with ,source: in it","paid":null}'
ROW = '{"id": 1, "amount": 12.50, "note": "a \\"text\\", with ,\\"source\\":{ in it"}'


def change(after: str = ROW, before: str = "null", op: str = "u", *, rest: str = "", source: Any = POSTGRESQL) -> bytes:
    said = json.dumps(source, separators=(",", ":"))
    return f'{{"before":{before},"after":{after},"source":{said}{rest},"op":"{op}","ts_ms":12}}'.encode()


def readings(value: bytes, **more: Any) -> tuple[Any, Any]:
    """The change as its row is cut out, and as the whole document is read: what each says, or its error."""
    return tuple(_said(value, cuts_rows=cuts, **more) for cuts in (True, False))  # type: ignore[return-value]


def _said(value: bytes, **more: Any) -> Any:
    options = ReadOptions(
        envelope=Envelope.DEBEZIUM, truncates=Truncates.APPLY, by_position=True, key_pointers=("/id",), **more
    )
    read = reader_of(options)
    assert read is not None
    try:
        found = read(record(value=value, key=b"1"), [])
    except EventError as error:
        return str(error)
    if found is None:
        return None
    it, decoded_row, event_type = found
    document = None if it.document is None else parse(it.document)
    row = document if it.member is None or document is None else document[it.member]
    whole = (it.text, it.identity, it.content, it.about, it.absent, it.deletes, it.before, it.truncates, it.schema_id)
    return repr((row if not it.truncates else None, decoded_row, event_type, *whole))


@pytest.mark.parametrize(
    "value",
    [
        change(),
        change(before='{"id":1,"name":"old"}'),
        change(before='{"id":2}'),
        change(FLAT),
        change(FLAT.replace(",s", "{s")),
        change(FLAT, op="c"),
        change(FLAT, op="r"),
        change('{"id":1,"amount":12345678901234567890123.5}'),
        change('{"id":1,"amount":1e4000}'),
        change('{"id":1,"note":"[1]"}'),
        change('{"id":1,"note":nul}'),
        change('{"id":1,}'),
        change('{"id":1 2}'),
        change('{"id":1,"note":"\x01"}'),
        change('{"id":"}'),
        change('{"id":1,"note":"}"}'),
        change('{"id":1,"note":"a \\"text\\"\\n, with \\\\"}'),
        change('{"id":1},"more":{}'),
        change('{"id":1,"large":"\\u005f_debezium_unavailable_value"}'),
        change('{"id":"}","note":"{"}'),
        change('{"id":1,"large":"X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ=="}'),
        change('{"id":1,"large":["b68a35a7-17ad-35b3-af2a-ae46edb4545a"]}'),
        change(f'{{"id":1,"large":{{"{UNAVAILABLE}":"{UNAVAILABLE}"}}}}'),
        change('{"id":1}', source={**POSTGRESQL, "lsn": 2**64 + 1}),
        change('{"id":1}', source={**POSTGRESQL, "lsn": 7.5}),
        change('{"id":1}', rest=',"source":5'),
        change('{"id":1}').replace(b'"ts_ms":12}', b'"ts_ms":123456789012345678901}'),
        change('{"id":1}').replace(b'"ts_ms":12}', b'"ts_ms":1e4000}'),
        change('{"id":1}').replace(b'"ts_ms":12}', b'"ts_ms":0.' + b"1" * 17_000 + b"}"),
        change('{"id":1}', rest=',"more":"a\\u0000"'),
        change('{"id":1}', rest=',"more":1e-4000'),
        change('{"id":1}', source={**POSTGRESQL, "query": "a\0"}),
        change('{"id":1}', source={**POSTGRESQL, "lsn": [2**70 + 1]}),
        change(op="c"),
        change(op="r"),
        change(op="c", before='{"id":2}'),
        change(ROW.replace("12.50", "1234567890123456789012.5")),
        change(ROW.replace("12.50", "123456789012345678901234")),
        change(ROW.replace("12.50", "1e400")),
        change(ROW.replace("12.50", "1e4000")),
        change(ROW.replace("12.50", "0.1e-1200")),
        change('{"id":1,"id":2}'),
        change('{"a":"\\u0000"}'),
        change(f'{{"id":1,"large":"{UNAVAILABLE}"}}'),
        change(f'{{"id":1,"large":["{UNAVAILABLE}"]}}'),
        change(f'{{"id":1,"large":"{UNAVAILABLE}"}}', op="r"),
        change('{"id":1,"after":{"x":1},"source":{"y":2}}'),
        change('{"id":1}', rest=',"after":{"id":3}'),
        change('{"id":1}', rest=',"before":{"id":3}'),
        change('{"id":1},"op":"d"'),
        change('{"id":1},"more":{"source":{}}'),
        change('{"id":1', rest="}"),
        change('{"id":1}}'),
        change(' {"id":1} '),
        change("null", '{"id":1}', op="d"),
        change("null", op="t"),
        change("[1]"),
        change(op="m"),
        change(op="x"),
        change(source={"connector": "cassandra"}),
        change(source=[1]),
        change(f'{{"id":1,"many":[{"[],{}," * 700}0]}}'),
        change(f'{{"id":1,"deep":{"[" * 300}{"]" * 300}}}'),
        change(f'{{"id":1,"deep":{"[" * 1024}{"]" * 1024}}}'),
        change(f'{{"id":1,"large":"{"x" * 5000}","number":12345678901234567890123}}'),
        change(f'{{"id":1,"large":"{"x" * 5000}","number":1e4000}}'),
        change(f'{{"id":1,"large":"{"x" * 5000}"}}'),
        b'{"x":1' + change()[1:],
        b'{"x":{"before":null' + change()[14:],
        b'{"before":null,"x":1' + change()[14:],
        change().replace(b'"before":null', b'"before":nul'),
        change().replace(b'"before":null', b'"before":"'),
        change()[:-1],
        change() + b" ",
        change() + b"x",
        b"\xef\xbb\xbf" + change(),
        change().replace(b"text", b"te\xff"),
        change().replace(b'"db":"d"', b'"db":"\xff"'),
        change().replace(b'"db":"d"', b'"\xff":"d"'),
        b'{"before":1e-20000,' + change()[1:],
        b'{"before":"\xff",' + change()[1:],
        b'{"before":"\\u0000",' + change()[1:],
        b'{"before":[' + b"1," * 600_000 + b"1]," + change()[1:],
        b'{"before":null,"after":{"x":1e1000},' + change()[len('{"before":null,') :],
        b'{"\\u0062efore":1e-20000,' + change()[1:],
        b'{"before":null,"after":{"id":9},"source":{"lsn":9},' + change()[1:],
        change('{"id":1}', rest=',"after":{"id":1}'),
        json.dumps(json.loads(change())).encode(),
        b"",
        b"{}",
    ],
)
def test_both_ways_say_the_same_of_a_change(value: bytes) -> None:
    cut, whole = readings(value)
    assert cut == whole


def test_both_ways_say_the_same_of_a_change_with_bytes_removed_or_moved() -> None:
    chance, taken = random.Random(11), 0
    given = [
        change(),
        change(FLAT),
        change(before='{"id":2,"after":{"source":{}}}'),
        change('{"id":1,"o":{"source":{"x":[1]}}}'),
    ]
    pieces = [b'"', b"{", b"}", b',"after":{', b',"source":{', b'{"before":null', b"\\", b",", b"null", b"1e9999"]
    for _ in range(2000):
        value = chance.choice(given)
        for _ in range(chance.randrange(1, 3)):
            at = chance.randrange(len(value))
            value = value[:at] + chance.choice(pieces) + value[at + chance.choice((0, 0, 1, 9)) :]
        cut, whole = readings(value)
        assert cut == whole, value
        taken += split_change(value) is not None
    assert taken > 100  # texts and numbers were changed, and the rest is still a change


@pytest.mark.parametrize("value", [change(), change(before='{"id":1}', op="u"), change(op="r"), change(op="c")])
def test_the_row_of_a_write_is_cut_out(value: bytes) -> None:
    found = split_change(value)
    assert found is not None
    assert found[2] == ROW.encode()


def test_a_row_that_nests_too_deep_to_be_compared_is_refused() -> None:
    cut, whole = readings(change(f'{{"id":1,"deep":{"[" * 1000}{"]" * 1000}}}'))
    assert "nests too deep" in cut
    assert cut == whole


def test_rows_and_keys_are_compared_to_the_same_depth_by_every_python() -> None:
    for levels, is_refused in ((900, False), (901, True)):
        row = f'{{"id":1,"deep":{"[" * (levels - 1)}{"]" * (levels - 1)}}}'
        key = f'{{"id":{"[" * levels}{"]" * levels}}}'
        for said in readings(change(row)):
            assert ("the row nests too deep" in said) == is_refused
        for said in readings(change(key, before=key)):
            assert ("the key nests too deep" in said) == is_refused


def test_a_key_that_nests_too_deep_to_be_compared_is_refused() -> None:
    deep = f'{{"id":{"[" * 1000}{"]" * 1000}}}'
    cut, whole = readings(change(deep, before=deep))
    assert "the key nests too deep" in cut
    assert cut == whole


def test_the_payload_of_a_change_is_that_which_earlier_versions_claimed() -> None:
    """A repeat across an upgrade has the claim of the version before."""
    row = {
        "day": Date(5),
        "time": TimeOfDay(7, 3600),
        "at": Timestamp(9),
        "span": Interval(1, 2, 3),
        "many": [Timestamp(-1, False)],
        "id": UUID(int=1),
        "text": Json("{}"),
    }
    assert _content("c", None, row) == (
        b'["c",null,{"day":{"days":5},"time":{"nanoseconds":7,"offset":3600},"at":{"nanoseconds":9,"zoned":true},'
        b'"span":{"months":1,"days":2,"nanoseconds":3},"many":[{"nanoseconds":-1,"zoned":false}],'
        b'"id":"00000000-0000-0000-0000-000000000001","text":"{}"}]'
    )
    exact = {"amount": Decimal("1.50"), "raw": b"x", "at": Timestamp(9)}
    assert _content("c", None, exact) == (
        b"('c', None, {'amount': Decimal('1.50'), 'raw': b'x', 'at': Timestamp(nanoseconds=9, zoned=True)})"
    )
