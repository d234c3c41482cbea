"""Make text from outside safe for a terminal and for a line of a log. All such text passes here.

A key, an event type, the text of an exception or a header's name is whatever a producer wrote. An
escape sequence in it would control the reader's terminal, and a line break would forge a line.
"""

import re
from collections.abc import Sequence

_ESCAPES = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}
_PRINTABLE_LINES = re.compile(r"[ -~\n]*")
_PRINTABLE = re.compile(r"[ -~]*")


def printable(text: str) -> str:
    r"""Return the text on one line, with an escape such as `\x1b` for each character that Unicode calls not printable.

    A backslash stays as it is: the result is for people and cannot be read back.
    """
    if _PRINTABLE.fullmatch(text):
        return text
    return "".join(each if each.isprintable() else _escaped(each) for each in text)


def printable_lines(text: str) -> str:
    """Return the text with its line breaks kept, and each line `printable`."""
    if _PRINTABLE_LINES.fullmatch(text):
        return text
    return "\n".join(map(printable, text.split("\n")))


def first_of(texts: Sequence[str], most: int, separator: str = ", ") -> str:
    """Return at most `most` of the texts, and the number of the others."""
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return separator.join(texts[:most]) + more


def shortened(text: str, longest: int) -> str:
    """Return the text, cut behind so many characters; its length then says so."""
    return text if len(text) <= longest else f"{text[:longest]}... ({len(text)} characters)"


def _escaped(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
