"""The values that librdkafka's properties take, as far as their names alone say it."""

import re
from collections.abc import Mapping
from importlib import resources

from inbox.settings.problems import quote

_IN_A_COMMAND = frozenset({"sasl.kerberos.keytab", "sasl.kerberos.principal", "sasl.kerberos.service.name"})
"""The properties that librdkafka puts unchanged into the shell command that fetches a Kerberos ticket."""
_NO_COMMAND = re.compile(r"[\w./@:+-]*", re.ASCII)
_BOOLEANS = ("true", "t", "1", "false", "f", "0")


def _read() -> Mapping[str, tuple[str, ...]]:
    text = resources.files("inbox.settings").joinpath("names/librdkafka_values.txt").read_text("utf-8")
    rows = (line.split() for line in text.splitlines())
    return {name: (kind, *values) for name, kind, *values in rows}


VALUES: Mapping[str, tuple[str, ...]] = _read()
"""The type of each property with its bounds or names. Texts and lists are left out: only a client knows them."""


def wrong_value(name: str, value: str) -> str | None:
    """Return what is expected instead of a value that no client would take.

    Returns:
        None if a client may take the value.
    """
    if name in _IN_A_COMMAND and not _NO_COMMAND.fullmatch(value):
        return "expected letters, digits and . / _ @ : + - alone: librdkafka puts it into a shell command as it is"
    if name not in VALUES:
        return None
    kind, *values = VALUES[name]
    given = value.strip()
    if kind == "boolean":
        return None if given.lower() in _BOOLEANS else f"expected true or false, not {quote(value)}"
    if kind == "one-of":
        allowed = given.lower() in map(str.lower, values)
        return None if allowed else f"expected one of {', '.join(values)}, not {quote(value)}"
    low, high = values
    what = "a whole number" if kind == "integer" else "a number"
    number = _number(given, whole=kind == "integer")
    within = number is not None and int(low) <= number <= int(high)
    return None if within else f"expected {what} from {low} to {high}, not {quote(value)}"


def _number(text: str, *, whole: bool) -> float | None:
    try:
        return int(text, 10) if whole else float(text)
    except ValueError:
        return None
