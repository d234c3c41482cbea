"""What the events of a round come to, said slowly: one after the other, in dicts, with the standard library's decoder.

Where the model does not know, it says so: then an event may be applied or parked, and nothing else.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum
from typing import Any

from tests.fuzz.events import Sent

LARGEST_EVENT = 256 * 1024
LARGEST_EXPONENT = 999
MOST_DIGITS_ADDED = 16 * 1024 * 1024
MOST_NESTED = 1024


class Verdict(Enum):
    """What becomes of an event on a route."""

    APPLIED = "applied"
    PARKED = "parked"
    FILTERED = "filtered"
    UNKNOWN = "applied or parked"


class NotJsonError(Exception):
    """It is not valid."""


class UnknownError(Exception):
    """The model does not say."""


_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]+))?")


class Written(Decimal):
    """A number with a fraction or an exponent."""


def number(text: str) -> Decimal:
    """Read a number as PostgreSQL's `numeric` does, with the project's bound on exponents."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise NotJsonError(text)
    whole, fraction, exponent = found[1], found[2] or "", int(found[3] or 0)
    significant = (whole + fraction).lstrip("0")
    before = len(significant) - len(fraction) + exponent if significant else 0
    if abs(exponent) > LARGEST_EXPONENT or before > 131_072 or len(fraction) - exponent > 16_383:
        raise NotJsonError(text)
    return Decimal(text) if found[2] is None and found[3] is None else Written(text)


def _refuse(text: str) -> Any:
    raise NotJsonError(text)


def document(value: bytes) -> Any:
    """Decode it. Raises NotJsonError, or UnknownError where it is nearly too deep."""
    if value.count(b"[") + value.count(b"{") > MOST_NESTED // 2:
        raise UnknownError
    powers: list[int] = []

    def with_exponent(text: str) -> Decimal:
        powers.append(abs(int(text.lower().partition("e")[2] or 0)))
        return number(text)

    try:
        found = json.loads(
            value.decode(),
            parse_int=number,
            parse_float=with_exponent,
            parse_constant=_refuse,
            object_pairs_hook=_members,
        )
        if sum(powers) > MOST_DIGITS_ADDED:
            raise NotJsonError
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise NotJsonError from error
    _require_texts(found)
    return found


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of those of one name the last counts, and the others have to be valid as well."""
    for name, value in pairs:
        _require_texts(name)
        _require_texts(value)
    return dict(pairs)


def _require_texts(found: Any) -> None:
    if isinstance(found, list):
        for each in found:
            _require_texts(each)
    elif isinstance(found, str) and ("\0" in found or any("\ud800" <= each <= "\udfff" for each in found)):
        raise NotJsonError


def member(found: Any, name: str) -> Any:
    """What the pointer `/name` finds."""
    return found.get(name) if isinstance(found, dict) else None


def as_text(found: Any) -> str | None:
    """What a column of type text holds. Raises UnknownError where PostgreSQL has its own way to write it."""
    if found is None or isinstance(found, str):
        return found
    if isinstance(found, bool):
        return "true" if found else "false"
    raise UnknownError


def size_of(event: Sent) -> int:
    """As `largest_event` counts."""
    headers = sum(200 + len(name) + len(value or b"") for name, value in event.headers)
    return len(event.value or b"") + len(event.key or b"") + headers


@dataclass
class Model:
    """The rows of one round, as far as they are known, and the verdicts by route and place in the round."""

    stem: str
    facts: dict[int, tuple[Any, Any, Any]] = field(default_factory=dict)
    states: dict[str, Any] = field(default_factory=dict)
    newest: dict[str, tuple[Any, Any]] = field(default_factory=dict)
    firsts: dict[str, Any] = field(default_factory=dict)
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)
    unsure: set[str] = field(default_factory=set)

    def take(self, events: Sequence[Sent]) -> "Model":
        """Apply the events in their order."""
        for place, event in enumerate(events):
            for route, apply in (
                ("facts", self._fact),
                ("states", self._state),
                ("newest", self._newest),
                ("firsts", self._first),
            ):
                try:
                    if size_of(event) > LARGEST_EVENT:
                        raise NotJsonError
                    verdict = apply(place, event)
                except NotJsonError:
                    verdict = Verdict.PARKED
                except UnknownError:
                    verdict = Verdict.UNKNOWN
                self.verdicts[route, place] = verdict
        return self

    def _fact(self, place: int, event: Sent) -> Verdict:
        if event.value is None:
            return Verdict.PARKED
        found = document(event.value)
        amount, text = member(found, "number"), member(found, "text")
        if isinstance(amount, str):
            raise UnknownError
        if not (amount is None or type(amount) in (Decimal, Written)):
            return Verdict.PARKED
        self.facts[place] = (amount, text, found)
        return Verdict.APPLIED

    def _key(self, found: Any, route: str) -> str | None:
        """The id of a row that is followed; None for another one."""
        key = member(found, "id")
        if key is None:
            raise NotJsonError
        if not (isinstance(key, str) and key.startswith(self.stem)):
            return None
        return key

    def _state(self, _: int, event: Sent) -> Verdict:
        if event.value is None:
            return self._delete(event)
        key = self._sure_key(event, "states")
        if key is None:
            raise UnknownError
        self.states[key] = member(document(event.value), "note")
        return Verdict.APPLIED

    def _sure_key(self, event: Sent, route: str) -> str | None:
        assert event.value is not None
        try:
            found = document(event.value)
        except UnknownError:
            self._doubt(event.value, route)
            raise
        return self._key(found, route)

    def _doubt(self, value: bytes, route: str) -> None:
        """Nobody knows whether it was applied: what it may have written is not compared."""
        self.unsure.update(
            f"{route}:{self.stem}{number}" for number in range(10) if f"{self.stem}{number}".encode() in value
        )

    def _delete(self, event: Sent) -> Verdict:
        if event.key is None:
            return Verdict.PARKED
        try:
            text = event.key.decode()
        except UnicodeDecodeError:
            return Verdict.PARKED
        if "\0" in text:
            return Verdict.PARKED
        try:
            named = document(event.key)
        except NotJsonError:
            named = text
        if isinstance(named, dict):
            key = member(named, "id")
            if key is None:
                raise UnknownError
        else:
            key = named if isinstance(named, str) else text
        if isinstance(key, str):
            self.states.pop(key, None)
            return Verdict.APPLIED
        raise UnknownError

    def _newest(self, _: int, event: Sent) -> Verdict:
        if event.value is None:
            return Verdict.FILTERED
        key = self._sure_key(event, "newest")
        if key is None:
            raise UnknownError
        found = document(event.value)
        version = member(found, "version")
        if isinstance(version, str | Written):
            self._doubt(event.value, "newest")
            raise UnknownError
        if version is not None and (type(version) is not Decimal or not -(2**31) <= version < 2**31):
            return Verdict.PARKED
        before = self.newest.get(key)
        if before is None or (version is not None and (before[0] is None or version > before[0])):
            self.newest[key] = (version, member(found, "note"))
        return Verdict.APPLIED

    def _first(self, _: int, event: Sent) -> Verdict:
        if event.value is None:
            return Verdict.PARKED
        kind = next((value for name, value in reversed(event.headers) if name == "type"), None) or b""
        try:
            kind.decode()
        except UnicodeDecodeError:
            return Verdict.PARKED
        key = self._sure_key(event, "firsts")
        if key is None or f"firsts:{key}" in self.unsure:
            raise UnknownError
        if key not in self.firsts:
            if b"\0" in kind:
                return Verdict.PARKED
            self.firsts[key] = member(document(event.value), "note")
        return Verdict.APPLIED
