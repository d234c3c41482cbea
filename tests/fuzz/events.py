"""Events as nobody should send them, and many that are nearly right."""

import base64
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

Headers = tuple[tuple[str, bytes | None], ...]

_EXAMPLE = 20

KEYS = 6
"""Rows of a round that the model follows; their ids begin with a letter that no number or document begins with."""


@dataclass(frozen=True)
class Sent:
    """One event as a producer gives it to Kafka."""

    value: bytes | None
    key: bytes | None = None
    headers: Headers = ()
    milliseconds: int = 1_700_000_000_123

    def as_json(self) -> str:
        """One line that `from_json` reads."""
        headers = [[name, _text(value)] for name, value in self.headers]
        return json.dumps([_text(self.value), _text(self.key), headers, self.milliseconds])

    @classmethod
    def from_json(cls, line: str) -> "Sent":
        """Read a line of a file of seeds."""
        value, key, headers, milliseconds = json.loads(line)
        return cls(_bytes(value), _bytes(key), tuple((name, _bytes(each)) for name, each in headers), milliseconds)


def kept_seeds(directory: Path) -> list[Sent]:
    """The events of all files, each of which found something once."""
    return [
        Sent.from_json(line)
        for file in sorted(directory.glob("*.jsonl"))
        for line in file.read_text().split("\n")
        if line
    ]


def _text(value: bytes | None) -> str | None:
    return None if value is None else base64.b64encode(value).decode()


def _bytes(text: str | None) -> bytes | None:
    return None if text is None else base64.b64decode(text)


def mostly(usual: st.SearchStrategy[Any], odd: st.SearchStrategy[Any], *, one_in: int = 8) -> st.SearchStrategy[Any]:
    """The odd ones now and then; `|` would draw both equally often."""
    return st.integers(1, one_in).flatmap(lambda number: odd if number == one_in else usual)


# JSON as text, so that numbers keep their digits and objects their repeated members.

long_digits = st.sampled_from([20, 400, 5000]).map(lambda count: "9" * count) | st.just("00")
digits = mostly(st.integers(0, 10**25).map(str), long_digits, one_in=15)
exponents = st.builds(
    lambda e, sign, zeros, power: f"{e}{sign}{'0' * zeros}{power}",
    st.sampled_from("eE"),
    st.sampled_from(["", "+", "-"]),
    st.sampled_from([0, 0, 0, 1, 12]),
    st.integers(0, 30)
    | st.sampled_from([308, 324, 400, 998, 999, 1000, 1001, 16_383, 131_071, 131_072, 2**30, 10**12]),
)
numbers = mostly(
    st.builds(
        lambda sign, whole, fraction, exponent: f"{sign}{whole}{fraction}{exponent}",
        st.sampled_from(["", "", "-"]),
        st.integers(0, 10**6).map(str) | digits,
        st.just("") | digits.map(lambda found: "." + found),
        mostly(st.just(""), exponents, one_in=4),
    ),
    st.sampled_from(["NaN", "Infinity", "-Infinity", "1.", ".5", "-", "+1", "0x1", "1_000"]),
    one_in=25,
)
characters = mostly(st.characters(codec="utf-8"), st.sampled_from('"\\\0\x01\x7f\u2028\ufeff'), one_in=10)
escapes = st.sampled_from(
    ["\\u0000", "\\ud800", "\\udc00", "\\ud83d\\ude00", "\\n", "\\/", "\\\\", '\\"', "\\u00e9", "\\x", "\\u12"]
)
pieces = st.lists(
    mostly(characters.map(lambda c: json.dumps(c, ensure_ascii=False)[1:-1]), escapes, one_in=15), max_size=6
).map("".join)
words = st.sampled_from(
    [
        *("now", "today 10:00", "infinity", "epoch", "NaN", "2026-01-31T06:00:00Z", "24:00", "1 day", "{1,2}", "[1,2)"),
        *("t", "1e1000", "1e131071", "12.50", "::1", "10.0.0.0/8", "\\\\x00", "6F9619FF-8B86-D011-B42D-00CF4FC964FF"),
        "é" * 40,
    ]
)
texts = (pieces | words).map(lambda found: f'"{found}"')
literals = mostly(st.sampled_from(["null", "true", "false"]), st.sampled_from(["True", "nul"]), one_in=20)
blanks = st.sampled_from(["", "", "", " ", "\n", "\t\r "])
names = st.sampled_from(["a", "text", "", "a/b", "~", "0", "x" * 300, "\\u0061", "\\u0000"]).map(
    lambda name: f'"{name}"'
)


def _array(items: Sequence[str], blank: str) -> str:
    return "[" + f"{blank},".join(items) + blank + "]"


def _object(members: Sequence[tuple[str, str]], blank: str) -> str:
    return "{" + ",".join(f"{name}{blank}:{value}" for name, value in members) + "}"


values = st.recursive(
    numbers | texts | literals,
    lambda inner: (
        st.builds(_array, st.lists(inner, max_size=4), blanks)
        | st.builds(_object, st.lists(st.tuples(names, inner), max_size=4), blanks)
    ),
    max_leaves=6,
)


def ids(stem: str) -> st.SearchStrategy[str]:
    """Of few rows, so that events meet; now and then anything."""
    return mostly(st.integers(1, KEYS).map(lambda number: f'"{stem}{number}"'), values)


times = st.sampled_from(["0", "1e12", "-1", "1700000000000.5", "9" * 30, "1e999"]) | texts
whole = st.integers(-9, 9).map(str)


def members(stem: str) -> dict[str, st.SearchStrategy[str]]:
    """What each member of an event mostly is."""
    return {
        "id": ids(stem),
        "version": mostly(whole, values),
        "note": mostly(texts, values),
        "text": mostly(texts, values),
        "number": mostly(numbers, values),
        "integer": whole | values,
        "ratio": numbers | texts,
        "flag": literals | values,
        "at": times,
        "day": times,
        "numbers": st.builds(_array, st.lists(numbers | texts, max_size=4), blanks) | values,
        "texts": st.builds(_array, st.lists(texts | values, max_size=4), blanks) | values,
        "part": values,
        "code": texts,
        "bytes": texts,
        "uuid": texts,
        "net": texts,
        "span": texts,
        "range": texts,
        "type": texts | values,
    }


@st.composite
def objects(draw: st.DrawFn, stem: str) -> bytes:
    """An event with an id, and some other members, of which one may come twice."""
    known = members(stem)
    usual = [name for name in ("id", "version", "note") if draw(st.integers(1, 10)) != 10]
    chosen = usual + draw(st.lists(st.sampled_from(sorted(known)), max_size=5))
    found = [(f'"{name}"', draw(known[name])) for name in chosen]
    return _object(found, draw(blanks)).encode(errors="surrogatepass")


def _damaged(document: bytes, place: int, odd: bytes, cut: int) -> bytes:
    place %= len(document) + 1
    return document[:place] + odd + document[place + cut :]


def documents(stem: str) -> st.SearchStrategy[bytes | None]:
    """Mostly objects; some damaged, some no JSON at all, some large."""
    good = objects(stem)
    odd = (
        st.builds(_damaged, good, st.integers(0, 400), st.binary(max_size=3), st.integers(0, 3))
        | values.map(lambda text: text.encode(errors="surrogatepass"))
        | st.none()
        | st.binary(max_size=30)
    )
    return mostly(mostly(good, odd, one_in=4), large(stem), one_in=30)


def large(stem: str) -> st.SearchStrategy[bytes]:
    """What is small in the topic and may be large elsewhere, with an id or without."""
    head = f'{{"id":"{stem}1","version":3,"text":'.encode()
    many = st.sampled_from([b"1e131071", b"1e999", b"-1e-999", b"[]", b"{}", b"0", b'""', b'{"":{}}', b"1e1"])
    arrays = st.builds(
        lambda each, count: b"[" + b",".join([each] * count) + b"]", many, st.sampled_from([1, 100, 7000, 20_000])
    )
    nested = st.sampled_from([1, 500, 1021, 1023, 1024, 5000, 50_000]).map(lambda deep: b"[" * deep + b"]" * deep)
    long = st.sampled_from([b"x", b"\\n", "é".encode(), b"\\u0001"]).map(lambda each: b'"' + each * 20_000 + b'"')
    wide = st.sampled_from([10, 20_000]).map(
        lambda count: b"{" + b",".join(b'"%d":1' % number for number in range(count)) + b"}"
    )
    many_digits = st.sampled_from([131_072, 140_000]).map(lambda count: b"9" * count)
    inner = arrays | nested | long | wide | many_digits
    return inner | inner.map(lambda text: head + text + b"}")


def keys(stem: str) -> st.SearchStrategy[bytes | None]:
    """Among them those of rows, as a text, in quotes, and in an object."""
    few = st.integers(1, KEYS).map(lambda number: f"{stem}{number}".encode())
    odd = (
        values.map(lambda text: text.encode(errors="surrogatepass"))
        | st.binary(max_size=20)
        | st.sampled_from([b"", b"k" * 3000, b'{"id":1e131071}', b"1e131071", b"[" * 3000])
    )
    named = few | few.map(lambda key: b'"' + key + b'"') | few.map(lambda key: b'{"id":"' + key + b'"}')
    return mostly(st.none() | named, odd, one_in=4)


types = mostly(
    st.sampled_from([b"a", b"b", b""]) | st.none(), st.sampled_from([b"\xff", b"a\0b", "é".encode(), b"t" * 5000])
)
header_names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8) | st.sampled_from(
    ["type", "kind", "event_id", "id", "ce_id", "n" * 2000]
)
header_values = st.none() | st.binary(max_size=20) | values.map(lambda text: text.encode(errors="surrogatepass"))
headers = st.builds(
    lambda kind, others: (*others, *([("type", kind)] if kind is not None else [])),
    types,
    mostly(st.lists(st.tuples(header_names, header_values), max_size=4), st.just([("", b"")] * 300), one_in=60),
)
times_of_records = st.sampled_from([0, 1, 1_700_000_000_000, 1_700_000_000_000_000, 253_402_300_800_000, 2**62])


def drawn(number: int, count: int, stem: str) -> list[Sent]:
    """Return the events of one round: the same for the same number."""
    found: list[Sent] = []
    event = st.builds(Sent, documents(stem), keys(stem), headers, times_of_records)
    # An example of many, since Hypothesis repeats much of one example in the next.
    some_events = st.lists(event, min_size=_EXAMPLE, max_size=_EXAMPLE)

    @seed(number)
    @settings(
        max_examples=-(-count // _EXAMPLE),
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(some_events)
    def draw(some: list[Sent]) -> None:
        found.extend(some)

    draw()
    return found
