"""What a JSON document may not exceed, though PostgreSQL would take it: found in its bytes, before it is decoded.

A small document has to be small wherever it goes. `1e131071` has 8 bytes, and 131,072 where PostgreSQL writes it as a
text; an element of an array has 2 bytes, and 110 while PostgreSQL reads it, an object 3, and 800. RFC 8259, section 9,
leaves such bounds to readers.
"""

import re
from collections.abc import Sequence

NESTING = 1024
"""How many levels deep a document may nest: the limit of orjson."""

MOST_COMMAS, MOST_BRACKETS = 500_000, 100_000
"""How many commas and opening brackets it may have outside of texts: of elements and members, arrays and objects."""

LARGEST_EXPONENT = 999
"""Of a number, with either sign."""

MOST_DIGITS_ADDED = 16 * 1024 * 1024
"""How many digits all its exponents may stand for together."""

_FEW_EXPONENTS = MOST_DIGITS_ADDED // LARGEST_EXPONENT
_SMALL = min(2 * NESTING, MOST_BRACKETS, 4 * _FEW_EXPONENTS)
"""Bytes of a document that can exceed no bound but that of an exponent."""


def _shape(digits: bytes, others: dict[bytes, bytes]) -> bytes:
    """For `bytes.translate`: what numbers look like, in one pass at the speed of memory."""
    table = bytearray(b"x" * 256)
    for of, becomes in {digits: b"0", b" \t\n\r:,[": b" ", b"eE": b"e", **others}.items():
        for byte in of:
            table[byte] = becomes[0]
    return bytes(table)


_SHAPE = _shape(b"0123456789.+-", {})
"""All that is in a number, but the e, becomes 0, and separators become a space."""

_SHAPE_WITH_SIGNS = _shape(b"0123456789", {b"+-": b"-"})

_LONG_EXPONENT = b"e0000"
"""In a shape: of four digits, or of three with a sign; many a UUID has it too."""

_LONG_RUNS = (b" " + b"0" * 20, b" -" + b"0" * 19, b"0" * 4000)
"""Of a whole number beyond 64 bits, either sign; of a fraction that may be beyond `numeric`."""

_MANY_DIGITS = b"0" * 10

_TEXT = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?'
"""A text is taken whole, so that nothing in it counts; one that does not end reaches to the end of the document."""

_JOINED = 50
"""Documents that are looked at together: few enough that the memory for it is at hand and not mapped for each look."""

_BRACKETS = re.compile(_TEXT + rb"|[][{}]", re.DOTALL)
_SEPARATORS = re.compile(_TEXT + rb"|[,[{]", re.DOTALL)
_NUMBERS = re.compile(_TEXT + rb"|[0-9][0-9.]*+(?:[eE][+-]?([0-9]+))?", re.DOTALL)
_STEPS = {b"[": 1, b"{": 1, b"]": -1, b"}": -1}
_ZERO = ord("0")


def excess(document: bytes) -> str | None:
    """Return which bound a document exceeds, and None for one within all of them; the text never shows a part of it."""
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
    """Whether one of the documents may exceed a bound: False for nearly all, and for many of them at a small cost."""
    if max(map(len, documents), default=0) > _SMALL and any(map(_may_be_large, documents)):
        return True
    parts = (documents[at : at + _JOINED] for at in range(0, len(documents), _JOINED))
    return any(_has_long_exponent(b",".join((b"", *part)).translate(_SHAPE)) for part in parts)


def has_hard_number(document: bytes) -> bool:
    """Whether it may hold a number that C's integers and floats alter, or one that is no JSON."""
    shape = document.translate(_SHAPE_WITH_SIGNS)
    return (_MANY_DIGITS in shape and any(run in shape for run in _LONG_RUNS)) or shape[:1] in (b"0", b"-")


def _may_be_large(document: bytes) -> bool:
    return len(document) > _SMALL and (
        len(document) > 4 * _FEW_EXPONENTS or document.count(b"[") + document.count(b"{") > NESTING
    )


def _has_long_exponent(shape: bytes) -> bool:
    """Whether one follows nothing but digits up to a separator; the shape begins with one."""
    # From the end, where Python compares the e first: five times as quick where digits are many.
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
