"""Bound JSON documents more tightly than PostgreSQL does, by their bytes before they are decoded.

A small document must stay small everywhere. `1e131071` has 8 bytes, but 131,072 when PostgreSQL
writes it as text. An element of an array has 2 bytes, but 110 while PostgreSQL reads it; an object
has 3, but 800. RFC 8259, section 9, leaves such bounds to readers.
"""

import re
from collections.abc import Sequence

NESTING = 1024
"""The most levels that a document may nest: the limit of orjson."""

MOST_COMMAS, MOST_BRACKETS = 500_000, 100_000
"""The most commas (elements and members) and opening brackets (arrays and objects) outside of texts."""

LARGEST_EXPONENT = 999
"""The largest exponent of a number, with either sign."""

MOST_DIGITS_ADDED = 16 * 1024 * 1024
"""The most digits that all exponents of a document may stand for together."""

_FEW_EXPONENTS = MOST_DIGITS_ADDED // LARGEST_EXPONENT
_SMALL = min(2 * NESTING, MOST_BRACKETS, 4 * _FEW_EXPONENTS)
"""The bytes of a document that can exceed only the bound of a single exponent."""


def _shape(digits: bytes, others: dict[bytes, bytes]) -> bytes:
    """Return a table for `bytes.translate` that shows what numbers look like, in one pass at memory speed."""
    table = bytearray(b"x" * 256)
    for of, becomes in {digits: b"0", b" \t\n\r:,[": b" ", b"eE": b"e", **others}.items():
        for byte in of:
            table[byte] = becomes[0]
    return bytes(table)


_SHAPE = _shape(b"0123456789.+-", {})
"""The table that turns every byte of a number except the e into 0, and separators into a space."""

_SHAPE_WITH_SIGNS = _shape(b"0123456789", {b"+-": b"-"})

_LONG_EXPONENT = b"e0000"
"""The shape of an exponent of four digits, or of three with a sign. Many UUIDs have it too."""

_LONG_RUNS = (b" " + b"0" * 20, b" -" + b"0" * 19, b"0" * 4000)
"""The shapes of a whole number beyond 64 bits, of either sign, and of a fraction that may exceed `numeric`."""

_LONG_RUN = b"0" * 20
"""In `_SHAPE`: a part of each of these, whose signs are zeros there."""

_MANY_DIGITS = b"0" * 10

_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
"""The pattern of a text, matched whole so that nothing in it counts. An unterminated text reaches to
the end of the document.
"""

_JOINED = 50
"""The number of documents checked together. It is small, so that their memory is reused instead of
mapped for each check.
"""

_BRACKETS = re.compile(_TEXT + rb"|[][{}]", re.DOTALL)
_SEPARATORS = re.compile(_TEXT + rb"|[,[{]", re.DOTALL)
_NUMBERS = re.compile(_TEXT + rb"|[0-9][0-9.]*+(?:[eE][+-]?([0-9]+))?", re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_ZERO = ord("0")


def excess(document: bytes) -> str | None:
    """Return the bound that the document exceeds, or None. The text never shows a part of the document."""
    if not any_may_exceed((document,)):
        return None
    if _nests_too_deep(document):
        return f"it nests more than {NESTING} levels deep"
    if _has_more(document, (b",",), MOST_COMMAS):
        return f"it has more than {MOST_COMMAS} commas outside of its texts"
    if _has_more(document, (b"[", b"{"), MOST_BRACKETS):
        return f"it has more than {MOST_BRACKETS} opening brackets outside of its texts"
    return _excess_of_exponents(document)


def any_may_exceed(documents: Sequence[bytes]) -> bool:
    """Return whether a document may exceed a bound: False for nearly all, and cheap for many together."""
    if max(map(len, documents), default=0) > _SMALL and any(map(_may_be_large, documents)):
        return True
    parts = (documents[at : at + _JOINED] for at in range(0, len(documents), _JOINED))
    return any(_has_long_exponent(b",".join((b"", *part)).translate(_SHAPE)) for part in parts)


def is_ordinary(document: bytes) -> bool:
    """Return whether one look shows that a document is within all bounds and has no hard number.

    The answer is True for nearly all small documents. For others ask `excess` and `has_hard_number`.
    """
    if len(document) > _SMALL:
        return False
    shape = document.translate(_SHAPE)
    # From the end, where Python searches a short text in half of the time that `in` takes.
    if shape.rfind(_LONG_RUN) >= 0 or shape[:1] == b"0":
        return False
    return shape.rfind(_LONG_EXPONENT) < 0 or not _has_long_exponent(shape)


def has_hard_number(document: bytes) -> bool:
    """Return whether the document may hold a number that C's integers and floats alter, or an invalid one."""
    shape = document.translate(_SHAPE_WITH_SIGNS)
    return (_MANY_DIGITS in shape and any(run in shape for run in _LONG_RUNS)) or shape[:1] in (b"0", b"-")


def _may_be_large(document: bytes) -> bool:
    return len(document) > _SMALL and (
        len(document) > 4 * _FEW_EXPONENTS or document.count(b"[") + document.count(b"{") > NESTING
    )


def _has_long_exponent(shape: bytes) -> bool:
    """Return whether a long exponent follows only digits since a separator. The shape begins with a separator."""
    # Search from the end, where Python compares the e first: five times as fast if there are many digits.
    at = shape.rfind(_LONG_EXPONENT)
    while at >= 0:
        if shape[at - 1] == _ZERO and not shape[shape.rfind(b" ", 0, at) + 1 : at].strip(b"0"):
            return True
        at = shape.rfind(_LONG_EXPONENT, 0, at + len(_LONG_EXPONENT) - 1)
    return False


def _nests_too_deep(document: bytes) -> bool:
    if len(document) <= 2 * NESTING or document.count(b"[") + document.count(b"{") <= NESTING:
        return False
    depth = 0
    for token in _BRACKETS.finditer(document):
        depth += _STEPS.get(token[0], 0)
        if depth > NESTING:
            return True
    return False


def _has_more(document: bytes, of: Sequence[bytes], than: int) -> bool:
    if len(document) <= than or sum(map(document.count, of)) <= than:
        return False
    return sum(token[0] in of for token in _SEPARATORS.finditer(document)) > than


def _excess_of_exponents(document: bytes) -> str | None:
    shape = (b"," + document).translate(_SHAPE)
    if shape.count(b"0e0") <= _FEW_EXPONENTS and not _has_long_exponent(shape):
        return None
    added = 0
    for token in _NUMBERS.finditer(document):
        power = (token[1] or b"").lstrip(b"0") or b"0"
        if len(power) > len(str(LARGEST_EXPONENT)):
            return f"the number at byte {token.start()} has an exponent beyond {LARGEST_EXPONENT}"
        added += int(power)
    if added > MOST_DIGITS_ADDED:
        return f"its numbers have exponents that stand for more than {MOST_DIGITS_ADDED} digits"
    return None
