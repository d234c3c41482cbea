"""Conditions on events (`when`), in the Common Expression Language.

The implementation is `cel` in Rust (extra `cel`), imported where a route has a condition. The
language has no loops but those over the elements of a value, and its regular expressions take
linear time.
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

_FUNCTIONS = frozenset({
    "has", "size", "contains", "startsWith", "endsWith", "matches", "string", "int", "uint", "double",
    "bool", "bytes", "type", "dyn", "timestamp", "duration", "all", "exists", "exists_one", "map",
    "filter", "min", "max", "getFullYear", "getMonth", "getDate", "getDayOfMonth", "getDayOfWeek",
    "getDayOfYear", "getHours", "getMinutes", "getSeconds", "getMilliseconds", "lowerAscii",
    "upperAscii", "trim", "split", "join", "replace", "indexOf", "lastIndexOf", "substring", "charAt",
})  # fmt: skip
_NAME = re.compile(r"[A-Za-z]\w*")


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

    def holds(
        self, value: Any, key: bytes | None, headers: Sequence[Header], event_type: str | None, topic: str
    ) -> bool:
        """Return whether the event is taken. An absent member, element or header counts as false.

        Raises:
            EventError: the condition cannot be evaluated, or its result is no boolean.
        """
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
