"""JSON as this project reads and writes it."""

import json
import math
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inbox.document_bounds import (
    MOST_BRACKETS,
    MOST_COMMAS,
    MOST_DIGITS_ADDED,
    NESTING,
    any_may_exceed,
    excess,
    has_hard_number,
    is_ordinary,
)
from inbox.documents import DocumentError, parse, whole_number_text, without_nul, write

texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=20)
digits = st.integers(15, 25).flatmap(lambda count: st.text("0123456789", min_size=count, max_size=count))
wholes = (
    st.integers()
    | st.integers(-(2**70), 2**70)
    | st.sampled_from([2**63 - 1, 2**63, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**300, 10**400])
)
floats = st.floats(allow_nan=False, allow_infinity=False)
documents = st.recursive(
    st.none() | st.booleans() | wholes | floats | texts | digits,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts | digits, inner, max_size=4),
    max_leaves=10,
)


def exact(value: Any) -> Any:
    """For comparison: the type counts, and 0.0 is not -0.0."""
    if isinstance(value, dict):
        return {name: exact(each) for name, each in value.items()}
    if isinstance(value, list):
        return [exact(each) for each in value]
    return (type(value), value if isinstance(value, int) else repr(value))


@given(documents, st.sampled_from([None, 2]))
def test_a_document_is_read_with_every_digit_of_its_whole_numbers(document: Any, indent: int | None) -> None:
    assert exact(parse(json.dumps(document, indent=indent).encode())) == exact(document)


@given(st.dictionaries(texts, documents, max_size=4) | st.lists(documents, max_size=4))
def test_what_is_written_is_read_as_it_was(document: Any) -> None:
    assert exact(parse(write(document).encode())) == exact(document)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("-0", 0),
        ("1.0", 1.0),
        ("1e2", 100.0),
        ("123456789012345678901234567890.5", 123456789012345678901234567890.5),
        ("1e-400", 0.0),
        ("1e400", Decimal("1E+400")),
        ("-1.5E+400", Decimal("-1.5E+400")),
        ("1" + "0" * 400 + ".0", Decimal("1" + "0" * 400 + ".0")),
    ],
)
def test_a_number_is_read_exactly_wherever_it_stands(text: str, found: Any) -> None:
    long = "99999999999999999999"
    for frame, document in [
        ("{}", found),
        (" {} ", found),
        ("[0,{},1]", [0, found, 1]),
        ('{{"a":\n{},"b":2}}', {"a": found, "b": 2}),
        ('{{"99999999999999999999":[{},"99999999999999999999"]}}', {long: [found, long]}),
    ]:
        assert exact(parse(frame.format(text).encode())) == exact(document)


@pytest.mark.parametrize("count", [4299, 4300, 4301, 5000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_a_whole_number_may_have_more_digits_than_int_converts(sign: str, count: int) -> None:
    assert parse(f"{sign}{'9' * count}".encode()) == int(f"{sign}1") * (10**count - 1)


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "{", "[1,]", "{} x", "NaN", "Infinity", "-Infinity", "01", "1.", ".5", "+1", "1e", "--1", "tru"),
        *('"\\ud800"', '"\\udc00"', '"\\ud800\\ud800"', '"\\u00"', '"\\x"', '"a\nb"', "'a'", "{1: 2}", "\ufeff{}"),
        *('"\\u0000"', '{"a\\u0000": 1}', '{"a": "\\u0000", "a": 1}', '"\\\\\\u0000"'),
        *("1e131072", "1" * 131_073, "1e-16384", "0e-16384", "1.5e-16383", "0e1073741823", "0e9999999999"),
        *("1e1000", "-1E+1000", "1.5e-1000", "0e1000", "0e-1000", "1e0001000", "[0e1000]", '{"a":-0.5E-1000}'),
        *("{1e400: 1}", "[1e400", "[1e400 1e400]", "1e400x", "x1e400", '1e400"a"', "[1e400.5]", "-1e400-"),
        "[" * 1025 + "]" * 1025,
        "[" * 1025 + "1e400" + "]" * 1025,
    ],
)
def test_what_is_not_valid_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        parse(text.encode())


@pytest.mark.parametrize(
    "number", ["1" * 131_073, "9" * 131_072 + "e1", "0." + "1" * 16_000 + "e-999", "0." + "1" * 16_384]
)
def test_a_number_beyond_numeric_is_refused_wherever_it_stands(number: str) -> None:
    with pytest.raises(DocumentError, match="beyond PostgreSQL's numeric"):
        parse(f'{{"a": [1, {number}]}}'.encode())


@pytest.mark.parametrize("value", [b"\xff", b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\x80"', b'{"a": 1e400, "\xff": 1}'])
def test_what_is_not_utf8_is_refused(value: bytes) -> None:
    with pytest.raises(DocumentError):
        parse(value)


@pytest.mark.parametrize(
    "text",
    [
        *('"\\\\u0000"', '"\\ud83d\\ude00"', '"\\/"', "1e999", "1" * 131_072, "-1e-999", "0e+0999", "0.0e400"),
        *("1e" + "0" * 5000 + "5", '"1e1000"', '["x, 1e1000"]', '{", 1e1000": "-3e1234-"}'),
        *('"\x7f"', '{"a": 1, "a": 2}', '"1e400"', '{"1e400": 1e400}', '"\\"1e400"', "\t\r\n [ ] "),
        "[" * 1024 + "1e400" + "]" * 1024,
    ],
)
def test_what_is_valid_is_taken(text: str) -> None:
    parse(text.encode())


def test_of_members_of_one_name_the_last_counts() -> None:
    assert parse(b'{"a": 1e400, "b": 1, "a": 2}') == {"a": 2, "b": 1}
    assert parse(b'{"a": 2, "b": 1, "a": 18446744073709551616}') == {"a": 2**64, "b": 1}


def test_an_error_never_shows_the_document() -> None:
    with pytest.raises(DocumentError) as refused:
        parse(b'{"secret": 1e400, "secret2": secret}')
    assert "secret" not in str(refused.value)


def deep(levels: int, *, inside: str = "1") -> bytes:
    return ("[" * levels + inside + "]" * levels).encode()


@pytest.mark.parametrize(
    ("document", "deeper"),
    [
        (deep(NESTING), False),
        (deep(NESTING + 1), True),
        (b'{"a":' * (NESTING + 1) + b"1" + b"}" * (NESTING + 1), True),
        (b"[" + b"[]," * 5000 + b"[]]", False),
        (b'"' + b"[" * 5000 + b'"', False),
        (b'["\\"' + b"[" * 5000 + b'"]', False),
        (b"[" + deep(NESTING) + b"]", True),
    ],
)
def test_how_deep_a_document_nests_is_told_as_it_is_read(document: bytes, deeper: bool) -> None:
    assert (excess(document) is not None) is deeper
    if deeper:
        with pytest.raises(DocumentError):
            parse(document)
    else:
        parse(document)


def test_a_text_that_does_not_end_takes_no_longer_the_longer_it_is() -> None:
    """Each of its quotes is a place from which a careless pattern would search to the end again."""
    with pytest.raises(DocumentError):
        parse(b"[1e400, " + b'"\\"' + b'\\"' * 500_000)
    assert not excess(b"[" * 1000 + b"{" * 24 + b'"' + b'\\"' * 500_000)


@pytest.mark.parametrize("number", ["1e1000", "-1E+1000", "1.5e-1000", "0e131071", "12e00001000", "1e99999999999"])
def test_an_exponent_beyond_999_is_found_wherever_it_stands(number: str) -> None:
    for frame in ("{}", " {}", "[0,{}]", '{{"a":\n{}}}', '{{"a\\"1e1":[[{}', '["' + "x" * 5000 + '",{}]'):
        document = frame.format(number).encode()
        assert any_may_exceed((b"{}", document))
        place = document.index(number.lstrip("-").encode())
        assert excess(document) == f"the number at byte {place} has an exponent beyond 999"


@pytest.mark.parametrize(
    "document",
    [
        b'{"id":"3e1234ab-2e12-4e34-8e56-e0000e123456","a":"e1000","b":"1e1000"}',
        b'["1e1000", "\\",1e999,"\\"1e1000"]',
        b"[1.5e-00999,1e+999,-0E999]",
    ],
)
def test_what_only_looks_like_an_exponent_is_within_bounds(document: bytes) -> None:
    assert excess(document) is None


numbers = st.from_regex(r"-?[0-9]{1,25}(\.[0-9]{1,25})?([eE][+-]?[0-9]{1,5})?", fullmatch=True)
spaces = st.sampled_from(["", " ", "\n"])


@given(st.lists(st.tuples(spaces, numbers | texts.map(json.dumps), spaces).map("".join)).map(",".join))
def test_a_plain_document_is_within_all_bounds_and_has_no_hard_number(inside: str) -> None:
    for document in (f"[{inside}]".encode(), inside.encode()):
        if is_ordinary(document):
            assert excess(document) is None
            assert not has_hard_number(document)


@pytest.mark.parametrize(
    "document",
    [
        b"-0",
        b"[" + b"9" * 20 + b"]",
        b"[-" + b"9" * 19 + b"]",
        b"[0." + b"1" * 4000 + b"]",
        b"[1e1000]",
        b"[" * 1025 + b"]" * 1025,
        b"[" + b"1e999," * 17_000 + b"1]",
    ],
)
def test_a_document_that_has_to_be_looked_at_is_not_plain(document: bytes) -> None:
    assert not is_ordinary(document)


def test_a_document_of_usual_values_is_ordinary() -> None:
    assert is_ordinary(
        b'{"id": 9223372036854775, "amount": "12.50", "at": "2026-01-01T10:00:00.123Z", '
        b'"by": "6f1c5e1e-1a7e-4c6e-8d53-0e0b1c6d7f00", "rate": 1.5e-3}'
    )


def test_nearly_no_document_is_looked_at_closely() -> None:
    documents = [
        b'{"id":"%b","amount":12.5,"ratio":1e-7}' % str(UUID(int=number * 7**40)).encode() for number in range(2000)
    ]
    assert not any_may_exceed(documents)


@pytest.mark.parametrize(
    ("document", "beyond"),
    [
        (b"[" + b"1," * MOST_COMMAS + b"1]", None),
        (b"[" + b"1," * MOST_COMMAS + b"1,1]", "commas outside"),
        (b"[" + b"[]," * (MOST_BRACKETS - 2) + b"{}]", None),
        (b"[" + b"[]," * (MOST_BRACKETS - 1) + b"{}]", "opening brackets outside"),
        (b'["' + b"," * (2 * MOST_COMMAS) + b"[" * (2 * MOST_BRACKETS) + b'\\"[[[["]', None),
        (b"[" + b"1e999," * (MOST_DIGITS_ADDED // 999 - 1) + b"1]", None),
        (b"[" + b"1e999," * (MOST_DIGITS_ADDED // 999 + 1) + b"1]", "stand for more than"),
        (b"[" + b"-1.5E-99," * (MOST_DIGITS_ADDED // 99 + 1) + b"1]", "stand for more than"),
    ],
)
def test_what_would_become_large_is_found(document: bytes, beyond: str | None) -> None:
    found = excess(document)
    assert (found is None) is (beyond is None)
    assert beyond is None or beyond in str(found)


def test_many_digits_take_no_longer_the_more_there_are() -> None:
    """Each of them is a place from which a careless pattern would search to the end again."""
    assert excess(b"[" + b"9" * 3_000_000 + b",1e1000") is not None


@given(wholes)
def test_a_whole_number_is_written_with_its_digits(number: int) -> None:
    assert Decimal(whole_number_text(number)) == number
    assert parse(whole_number_text(number).encode()) == number


@pytest.mark.parametrize("text", ["9" * 131_072, "-1" + "0" * 131_071, "1" + "0" * 8191 + "7", "-" + "12345" * 1000])
def test_a_whole_number_has_as_many_digits_as_numeric_holds(text: str) -> None:
    assert whole_number_text(parse(text.encode())) == text


def test_many_long_numbers_take_a_time_that_grows_with_their_digits() -> None:
    """With the square of them, as `int` and `Decimal` convert, these would take 18 seconds."""
    began = time.process_time()
    parse(b"[" + b",".join([b"9" * 131_072] * 32) + b"]")
    assert time.process_time() - began < 6


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (2**64, "18446744073709551616"),
        (-(2**63) - 1, "-9223372036854775809"),
        (Decimal("1.50"), "1.50"),
        (Decimal("1E+400"), "1E+400"),
        (Decimal("-0"), "-0"),
        (1e300, "1e+300"),
        (0.1, "0.1"),
    ],
)
def test_a_number_is_written_as_it_is(number: Any, text: str) -> None:
    assert write({"a": [number], "b": 2**70}) == f'{{"a":[{text}],"b":{2**70}}}'
    assert write([number]) == f"[{text}]"


@pytest.mark.parametrize(
    "number", [math.nan, math.inf, -math.inf, Decimal("NaN"), Decimal("-Infinity"), Decimal("sNaN")]
)
def test_what_is_no_number_is_not_written_as_null(number: Any) -> None:
    for document in ([number], {"a": {"b": (None, number)}}, [2**70, number]):
        with pytest.raises(DocumentError, match="NaN and Infinity are not JSON"):
            write(document)


@pytest.mark.parametrize(
    "document",
    [
        {"a": "\x00"},
        {"\x00": 1},
        ["\ud800"],
        {1: 2},
        [object()],
        [2**70, object()],
        [Decimal("1e-20000")],
    ],
)
def test_what_json_cannot_say_is_not_written(document: Any) -> None:
    with pytest.raises(DocumentError):
        write(document)


def test_a_whole_number_that_numeric_cannot_hold_is_not_written() -> None:
    with pytest.raises(DocumentError, match="beyond PostgreSQL's numeric"):
        write([10**131_072])


def test_null_is_null() -> None:
    assert write({"a": None, "b": 1.5, "c": "null"}) == '{"a":null,"b":1.5,"c":"null"}'


@pytest.mark.parametrize(
    ("document", "without"),
    [
        (rb'{"a\u0000": "\u0000x\u0000\u0000"}', b'{"a": "x"}'),
        (rb'["\\u0000", "\\\u0000", 1.50]', rb'["\\u0000", "\\", 1.50]'),
    ],
)
def test_nul_is_taken_out_of_texts_alone(document: bytes, without: bytes) -> None:
    assert without_nul(document) == without


@pytest.mark.parametrize(
    "document", [rb'{"a": 1\u0000}', rb'["\u0000"', rb'["\ud83d\u0000\ude00"]', b'["\xff\\u0000"]']
)
def test_what_is_no_json_with_nul_is_none_without_it(document: bytes) -> None:
    with pytest.raises(DocumentError):
        without_nul(document)
