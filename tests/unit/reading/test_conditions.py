"""Conditions on events: what they see, what counts as false, and what is an error."""

import sys
from collections.abc import Sequence
from typing import Any

import pytest

from inbox.errors import EventError, StartupError
from inbox.events import Header
from inbox.reading.conditions import Condition

ORDER = {"amount": 150, "status": "open", "lines": [{"sku": "a"}, {"sku": "b"}], "note": None, "price": 9.5}
HEADERS: Sequence[Header] = [("kind", b"x"), ("kind", b"y"), ("raw", b"\xff"), ("none", None)]


def holds(text: str, value: Any = ORDER, key: bytes | None = b"k1", event_type: str | None = "OrderCreated") -> bool:
    return Condition(text).holds(value, key, HEADERS, event_type, "orders")


@pytest.mark.parametrize(
    "text",
    [
        "value.amount > 100 && value.price < 10.0",
        'value.lines.exists(line, line.sku == "b")',
        "size(value.lines) == 2",
        'key == "k1" && topic == "orders"',
        'type == "OrderCreated" || type == null',
        'headers["kind"] == "y"',
        'headers.none == null && headers.raw == b"\\xff"',
        "value.note == null",
        "!has(value.missing)",
        "value.missing == 1 || true",
        'value.status.matches("^op")',
        'value.status in ["open", "new"]',
    ],
)
def test_a_condition_sees_value_key_headers_type_and_topic(text: str) -> None:
    assert holds(text)
    assert not holds(f"!({text})")


@pytest.mark.parametrize(
    "text", ["value.missing == 1", "!(value.missing == 1)", "value.lines[2].sku == 'a'", 'headers["nope"] == "x"']
)
def test_what_is_absent_makes_a_condition_false(text: str) -> None:
    assert not holds(text)


def test_a_tombstone_has_no_members() -> None:
    assert not holds("value.amount > 1", value=None)
    assert holds("value == null", value=None)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value.amount", "gives a number, which is neither true nor false"),
        ("value.note", "gives null"),
        ('value.amount > "1"', "the types of its values do not fit"),
        ("value.amount / 0 == 1", "a division by zero"),
        ("value.note.x == 1", "the types of its values do not fit"),
        ("value.amount + 9223372036854775807 > 0", "beyond 64 bits"),
    ],
)
def test_what_cannot_be_decided_is_an_error_without_values(text: str, said: str) -> None:
    with pytest.raises(EventError, match=said) as failed:
        holds(text)
    assert "150" not in str(failed.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("value.a ==", "is not a condition in CEL: 1:11"),
        ("(" * 20_000, "is not a condition in CEL"),
        ("values.a == 1", "unknown variable values"),
        ("length(value) == 1", "unknown function length"),
    ],
)
def test_what_is_no_condition_is_refused_at_the_start(text: str, said: str) -> None:
    with pytest.raises(StartupError, match=said):
        Condition(text)


def test_only_a_condition_on_the_value_needs_it() -> None:
    assert Condition("value.a == 1").needs_value
    assert not Condition('type == "A"').needs_value


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cel", None)
    with pytest.raises(StartupError, match=r'pip install "kafka-inbox\[cel\]"'):
        Condition("value.not_compiled_before == 1")


@pytest.mark.parametrize(
    ("text", "most"),
    [
        ("value.b.map(x, x + 1).exists(x, x == 0)", 1000),
        ("value.b.exists(x, value.b.exists(y, x == y + 5000))", 1000),
        ("value.b.exists(x, value.b.filter(y, y == x).size() == 9)", 100),
        ('value.b.exists(x, x == 0 && ")" != "(" && value.b.all(y, y < 0))', 1000),
    ],
)
def test_loops_whose_time_grows_faster_than_their_elements_take_few(text: str, most: int) -> None:
    condition = Condition(text)
    assert condition.holds({"b": list(range(1, most + 1))}, None, (), None, "t") is False
    with pytest.raises(EventError, match=f"loops that take at most {most} elements"):
        condition.holds({"b": list(range(1, most + 2))}, None, (), None, "t")


def test_a_loop_alone_takes_what_a_document_may_have() -> None:
    condition = Condition("value.b.exists(x, x == -1) || value.b.all(x, x < 0)")
    assert not condition.holds({"b": list(range(200_000))}, None, (), None, "t")
