"""Read and write JSON under one definition for ids, types, columns, handlers and the outbox.

A document is valid if RFC 8259 and PostgreSQL's `jsonb` both accept it: UTF-8 without a byte order
mark, without NaN or Infinity, without NUL or a lone surrogate in a text, and with numbers within
the range of `numeric`. If members have the same name, the last one counts. A document stays within
the bounds of `inbox.document_bounds`.

orjson reads and writes nearly everything. Its numbers are those of C: a whole number beyond 64 bits
becomes a float, and a number beyond the range of floats is an error. A look at the bytes finds
documents with such numbers. They are read with these numbers put aside.
"""

import dataclasses
import json
import math
import re
import secrets
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from inbox.document_bounds import LARGEST_EXPONENT, excess, has_hard_number, is_ordinary

_WHOLE_DIGITS, _FRACTION_DIGITS = 131_072, 16_383
"""The digits that `numeric` holds before and after the decimal point (PostgreSQL manual, section 8.1.2)."""

NAME_DIGITS = _INT_DIGITS = 4300
_INT_LIMIT = 10**_INT_DIGITS
"""The number from which `int` and `str` refuse to convert (`sys.set_int_max_str_digits`). `Decimal` can, slowly."""

# A text is one token, so that digits in it are not a number. An unterminated text reaches to the end of the
# document.
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"?|-?[0-9][0-9.eE+-]*', re.DOTALL)
_NUMBER = re.compile(rb"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")
_FRACTION = re.compile(rb"[0-9][.eE]")
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ESCAPED_NUL = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_QUOTE, _BACKSLASH = ord('"'), ord("\\")
_EXACT = json.JSONDecoder(parse_float=Decimal)


class DocumentError(Exception):
    """An invalid document. The message says what is wrong, and never shows a part of the document."""


def parse(document: bytes) -> Any:
    """Read a JSON document.

    Every whole number keeps its digits. A number with a fraction or an exponent becomes the nearest
    float, or a `Decimal` if it is beyond the range of floats.

    Raises:
        DocumentError: the document is not valid.
    """
    if is_ordinary(document) and _BACKSLASH not in document:  # nearly all
        try:
            return orjson.loads(document)
        except orjson.JSONDecodeError:
            pass
    found = _parsed(document)
    if _BACKSLASH in document and has_nul(document):
        raise DocumentError("a text in it holds NUL (\\u0000), which PostgreSQL cannot keep")
    return found


def has_nul(document: bytes) -> bool:
    """Return whether a valid document has a text that holds NUL."""
    # From the end, where Python searches a short text in half of the time that `in` takes.
    return document.rfind(b"\\u0000") >= 0 and _NUL.search(document) is not None


def parse_exactly(document: bytes) -> Any:
    """Read a JSON document as `parse` does; a number with a fraction or an exponent becomes a `Decimal` of its digits.

    This takes several times as long.

    Raises:
        DocumentError: the document is not valid, or nests deeper than Python's own reader reads.
    """
    found = parse(document)
    if _FRACTION.search(document) is None:
        return found
    try:
        return _EXACT.decode(document.decode())
    except RecursionError:
        raise DocumentError("it nests too deep for decimals to be read exactly") from None
    except ValueError:
        raise DocumentError(f"a whole number in it has more than {_INT_DIGITS} digits") from None


def _parsed(document: bytes) -> Any:
    """Read a document as `parse` does, whose texts may hold NUL."""
    ordinary = is_ordinary(document)
    if not ordinary and (beyond := excess(document)) is not None:
        raise DocumentError(beyond)
    try:
        found = orjson.loads(document)
    except orjson.JSONDecodeError as error:
        found = _parsed_exactly(document, error)
    else:
        if not ordinary and has_hard_number(document):
            found = _parsed_exactly(document, None)
    return found


def without_nul(document: bytes) -> bytes:
    """Return the document without the character NUL in its texts, and otherwise byte for byte.

    Raises:
        DocumentError: the document is not valid even where texts may hold NUL.
    """
    if b"\\u0000" not in document:
        return document
    _parsed(document)  # so that an escape is within a text
    return _ESCAPED_NUL.sub(rb"\1", document)


def as_name(number: int) -> str | None:
    """Return the digits of a whole number as an id or a type, or None if they are more than NAME_DIGITS."""
    return str(number) if -_INT_LIMIT < number < _INT_LIMIT else None


def whole_number_text(number: int) -> str:
    """Return the digits of a whole number, however many."""
    return str(number) if -_INT_LIMIT < number < _INT_LIMIT else str(Decimal(number))


def write(document: Any) -> str:
    """Return a dict or list as a JSON document that `parse` accepts. A `Decimal` becomes a number with its digits.

    Raises:
        DocumentError: the value holds something that JSON cannot express.
    """
    try:
        text = orjson.dumps(document, default=_as_number)
    except TypeError as error:
        text = _written_exactly(document, error)
    # orjson writes null for NaN and Infinity.
    if b"null" in text and not all(map(math.isfinite, _floats(document))):
        raise DocumentError("NaN and Infinity are not JSON")
    if has_nul(text):
        raise DocumentError("a text in it holds NUL, which PostgreSQL cannot keep")
    return text.decode()


# Reading.


def _parsed_exactly(document: bytes, failure: orjson.JSONDecodeError | None) -> Any:
    """Read a document with marks in place of the numbers that orjson would alter, then put the numbers back."""
    mark = f"{secrets.token_hex(16)}:"
    numbers: list[int | float | Decimal] = []

    def put_aside(token: re.Match[bytes]) -> bytes:
        text = token[0]
        number = None if text[0] == _QUOTE else _NUMBER.fullmatch(text)
        if number is None or not _is_hard(number):
            return text
        numbers.append(_number(number))
        return f'"{mark}{len(numbers) - 1}"'.encode()

    without = _TOKEN.sub(put_aside, document)
    if failure is not None and not numbers:
        raise DocumentError(f"{failure.msg} at character {failure.pos}") from None
    try:
        found = [orjson.loads(without)]
    except orjson.JSONDecodeError as error:
        where = error.pos if failure is None else failure.pos
        raise DocumentError(f"{error.msg} at character {where} or later") from None
    _put_back(found, mark, numbers)
    return found[0]


def _is_hard(number: re.Match[bytes]) -> bool:
    whole, fraction, exponent = number.groups()
    if exponent is not None or (fraction is not None and len(fraction) >= 4000):
        return True
    return len(whole) > (18 if fraction is None else 300)


def _number(number: re.Match[bytes]) -> int | float | Decimal:
    whole, fraction, exponent = number.groups()
    _require_numeric(whole, fraction or b"", exponent or b"0")
    text = number[0].decode()
    if fraction is None and exponent is None:
        return _whole_number(text)
    found = float(text)
    return found if math.isfinite(found) else Decimal(text)


def _whole_number(text: str) -> int:
    """Convert in halves: for many digits `int` and `Decimal` take a time that grows with their square."""
    if text.startswith("-"):
        return -_whole_number(text[1:])
    if len(text) <= _INT_DIGITS:
        return int(text)
    low = 1 << ((len(text) - 1).bit_length() - 1)
    return _whole_number(text[:-low]) * _power_of_ten(low) + _whole_number(text[-low:])


@lru_cache(maxsize=8)
def _power_of_ten(digits: int) -> int:
    return int(10**digits)


def _require_numeric(whole: bytes, fraction: bytes, exponent: bytes) -> None:
    """Raise DocumentError if `numeric` cannot hold the number, because `jsonb` would refuse its document."""
    digits = exponent.lstrip(b"+-0") or b"0"
    if len(digits) > len(str(LARGEST_EXPONENT)):
        raise DocumentError(f"a number in it has an exponent beyond {LARGEST_EXPONENT}")
    power = -int(digits) if exponent.startswith(b"-") else int(digits)
    significant = (whole + fraction).lstrip(b"0")
    before = len(significant) - len(fraction) + power if significant else 0
    if before > _WHOLE_DIGITS or len(fraction) - power > _FRACTION_DIGITS:
        raise DocumentError(
            f"a number in it is beyond PostgreSQL's numeric ({_WHOLE_DIGITS} digits before the point, "
            f"{_FRACTION_DIGITS} after it)"
        )


def _put_back(found: list[Any], mark: str, numbers: list[int | float | Decimal]) -> None:
    """Put each number where its mark is. Without recursion, because documents may be deep."""
    open_: list[Any] = [found]
    while open_:
        container = open_.pop()
        items: Iterable[tuple[Any, Any]] = container.items() if isinstance(container, dict) else enumerate(container)
        for key, value in list(items):
            if isinstance(key, str) and key.startswith(mark):
                raise DocumentError("a number in it stands where a name belongs")
            if isinstance(value, dict | list):
                open_.append(value)
            elif isinstance(value, str) and value.startswith(mark):
                container[key] = numbers[int(value[len(mark) :])]


# Writing.


def _written_exactly(document: Any, failure: TypeError) -> bytes:
    """Write a document with its large whole numbers as they are, if these were what orjson refused."""
    if isinstance(failure.__cause__, DocumentError):
        raise failure.__cause__ from None
    try:
        return orjson.dumps(_with_fragments(document), default=_as_number)
    except TypeError as error:
        # orjson's message names a type or a limit, never the payload.
        raise (error.__cause__ if isinstance(error.__cause__, DocumentError) else DocumentError(str(error))) from None
    except RecursionError:
        raise DocumentError(str(failure)) from None


def _with_fragments(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _with_fragments(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_with_fragments(each) for each in value]
    if type(value) is int and not -(2**63) <= value < 2**64:
        return orjson.Fragment(_numeric_text(whole_number_text(value)))
    return value


def _as_number(value: Any) -> orjson.Fragment:
    if not isinstance(value, Decimal):
        raise TypeError  # orjson names the type
    if not value.is_finite():
        raise DocumentError("NaN and Infinity are not JSON")
    return orjson.Fragment(_numeric_text(str(value)))


def _numeric_text(text: str) -> str:
    number = _NUMBER.fullmatch(text.encode())
    if number is not None:
        _require_numeric(number[1], number[2] or b"", number[3] or b"0")
    return text


def _floats(value: Any) -> Iterator[float]:
    if isinstance(value, float):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from _floats(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from _floats(each)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        for field in dataclasses.fields(value):
            yield from _floats(getattr(value, field.name, None))


def pointer_steps(pointer: str) -> tuple[str, ...]:
    """Return the unescaped steps of a JSON pointer (RFC 6901): `/a~1b/0` is ("a/b", "0")."""
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.split("/")[1:])


def pointer_to(member: str) -> str:
    """Return the JSON pointer to a member of a document."""
    return "/" + member.replace("~", "~0").replace("/", "~1")
