"""Conditions on events (`when`), in the Common Expression Language.

The implementation is `cel` in Rust (extra `cel`), imported where a route has a condition. The
language has no loops but those over the elements of a value, and its regular expressions take
linear time. Where the time grows faster than the elements, as within loops in loops, they are bounded.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol

from inbox.errors import EventError, StartupError
from inbox.events import Header

VARIABLES = ("value", "key", "headers", "type", "topic")

_BOUND = re.compile(r"\.(?:all|exists|exists_one|map|filter)\(\s*([A-Za-z_]\w*)\s*,")
"""A name that a macro binds to each element: `x` in `lines.exists(x, x.sku == "a")`."""

_LOOPS = re.compile(
    r"""("(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|\.\s*(all|exists|exists_one|map|filter)\s*\(|([()])""", re.DOTALL
)
_MOST_STEPS = 1_000_000
"""The most steps that the loops of a condition may take together: less than a second."""

_MEMBER = re.compile(r"""\bvalue\s*(?:\.\s*([A-Za-z_]\w*)|\[\s*(?:"([^"\\]*)"|'([^'\\]*)')\s*\])""")
"""A member of the value that a condition names: `value.kind`, or `value["kind"]`."""

_FUNCTIONS = frozenset({
    "has", "size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double",
    "bool", "bytes", "type", "dyn", "timestamp", "duration", "all", "exists", "exists_one", "map",
    "filter", "min", "max", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek",
    "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds", "lowerAscii",
    "upperAscii", "trim", "split", "join", "replace", "indexOf", "lastIndexOf", "substring", "charAt",
})  # fmt: skip
_NAME = re.compile(r"[A-Za-z]\w*")


def members_in(text: str) -> frozenset[str]:
    """Return the members of the value that a condition names."""
    return frozenset(dotted or double or single for dotted, double, single in _MEMBER.findall(text))


class _Condition(Protocol):
    def execute(self, context: dict[str, Any]) -> Any: ...

    def variables(self) -> Sequence[str]: ...

    def functions(self) -> Sequence[str]: ...


class Condition:
    """A condition of a route, compiled.

    Raises on construction:
        StartupError: the extra is missing, or the text is not a condition.
    """

    def __init__(self, text: str) -> None:
        self._program = _compiled(text)
        bound = set(_BOUND.findall(text))
        names = set(self._program.variables())
        if unknown := sorted(names - bound - set(VARIABLES)):
            raise StartupError(f"unknown variable {unknown[0]}; the variables are {', '.join(VARIABLES)}")
        called = [name for name in self._program.functions() if _NAME.fullmatch(name)]
        if missing := sorted(set(called) - _FUNCTIONS):
            raise StartupError(f"unknown function {missing[0]}")
        self.needs_value = "value" in names
        power = _power(text)
        self._most_elements = round(_MOST_STEPS ** (1 / power)) if power > 1 else None

    def holds(
        self, value: Any, key: bytes | None, headers: Sequence[Header], event_type: str | None, topic: str
    ) -> bool:
        """Return whether the event is taken. An absent member, element or header counts as false.

        Raises:
            EventError: the condition cannot be evaluated, or its result is no boolean.
        """
        if self._most_elements is not None:
            _require_few((value, headers), self._most_elements)
        context = {
            "value": value,
            "key": _text(key),
            "headers": {name: _text(content) for name, content in headers},
            "type": event_type,
            "topic": topic,
        }
        try:
            found = self._program.execute(context)
        except LookupError:
            return False
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # noqa: BLE001 - a panic of the implementation is no Exception
            if value is None and self.needs_value and isinstance(error, TypeError):
                return False  # a tombstone has no members
            # Its text may hold values of the event.
            raise EventError(
                f"the condition (when) cannot be evaluated: {_KINDS.get(type(error), 'an error in it')}"
            ) from None
        if not isinstance(found, bool):
            raise EventError(f"the condition (when) gives {_kind_of(found)}, which is neither true nor false")
        return found


_KINDS: Mapping[type[BaseException], str] = {
    TypeError: "the types of its values do not fit",
    ZeroDivisionError: "a division by zero",
    OverflowError: "a number beyond 64 bits",
}


def _power(text: str) -> int:
    """Return the power of the number of elements with which the time of a condition grows.

    The loops that lie in each other count, and `map` and `filter` copy the list that they make for each element.
    """
    most, inside = 0, [0]
    for literal, loop, bracket in _LOOPS.findall(text):
        if loop:
            inside.append(inside[-1] + (2 if loop in ("map", "filter") else 1))
            most = max(most, inside[-1])
        elif bracket == "(":
            inside.append(inside[-1])
        elif not literal and len(inside) > 1:
            inside.pop()
    return most


def _require_few(value: Any, most: int) -> None:
    """Raise EventError if an array or an object has more elements, or a text that may be split more characters."""
    found = [value]
    while found:
        each = found.pop()
        if isinstance(each, dict | list | tuple):
            if len(each) > most:
                raise EventError(
                    f"the condition (when) has loops that take at most {most} elements, and an array or object of the "
                    "event has more; use exists or all alone, or let a handler decide"
                )
            found.extend(each.values() if isinstance(each, dict) else each)


@lru_cache(maxsize=256)
def _compiled(text: str) -> _Condition:
    try:
        import cel
    except ImportError:
        raise StartupError('a condition needs CEL; pip install "kafka-inbox[cel]"') from None
    compile_: Callable[[str], _Condition] = cel.compile
    try:
        return compile_(text)
    except (ValueError, RuntimeError) as error:
        reason = " ".join(str(error).rpartition("ERROR: <input>:")[2].split())
        raise StartupError(f"is not a condition in CEL: {reason[:200]}") from None


def _text(value: bytes | None) -> str | bytes | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value


def _kind_of(value: Any) -> str:
    kinds = {int: "a number", float: "a number", str: "a text", type(None): "null", list: "a list", dict: "a map"}
    return kinds.get(type(value), "a value")
