"""The readers of durations, sizes, counts, times and addresses in the texts that people write for them."""

import re
from collections.abc import Callable
from datetime import datetime, timedelta

from inbox.settings.problems import UnfitError
from inbox.settings.syntax import taking
from inbox.sink.routes import StartPoint

_SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_BYTES = {
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_QUANTITY = re.compile(r"([0-9]{1,15})\s*([A-Za-z]+)")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_ADDRESS = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[^\s:\[\]/@]+):([0-9]{1,5})")


def duration(lowest: str, highest: str) -> Callable[[object], timedelta]:
    """Return a reader of durations such as `30d` or `12h`, between two such texts, both included."""
    least, most = _seconds(lowest), _seconds(highest)

    def read(value: object) -> timedelta:
        seconds = _seconds(value) if isinstance(value, str) else None
        if seconds is None or least is None or most is None or not least <= seconds <= most:
            raise UnfitError(
                f'a whole number with a unit (ms, s, m, h, d, w) such as "12h", from "{lowest}" to "{highest}"'
            )
        return timedelta(milliseconds=round(seconds * 1000))

    return read


def size(lowest: str, highest: str) -> Callable[[object], int]:
    """Return a reader of sizes in bytes such as `16 MiB`, `1 GB` or `4096`.

    Both bounds are such texts, and are included.
    """
    least, most = _bytes(lowest), _bytes(highest)

    def read(value: object) -> int:
        count = _bytes(value)
        if count is None or least is None or most is None or not least <= count <= most:
            raise UnfitError(
                'bytes as a whole number, or with a unit (KiB, MiB, GiB; KB, MB, GB) such as "16 MiB", '
                f"from {lowest} to {highest}"
            )
        return count

    return taking({"type": ["integer", "string"]}, read)


def count(lowest: int, highest: int | None = None) -> Callable[[object], int]:
    """Return a reader of whole numbers, both bounds included."""
    bounds = f"of {lowest} or more" if highest is None else f"from {lowest} to {highest}"

    def read(value: object) -> int:
        number = _whole_number(value)
        if number is None or number < lowest or (highest is not None and number > highest):
            raise UnfitError(f"a whole number {bounds}")
        return number

    upper = {} if highest is None else {"maximum": highest}
    return taking({"type": "integer", "minimum": lowest, **upper}, read)


def start_point(value: object) -> StartPoint | datetime:
    """Return the start of a new partition: one of the named points, or an RFC 3339 time with its offset."""
    if (moment := instant(value)) is not None:
        return moment
    names = [point.value for point in StartPoint]
    if isinstance(value, str) and value in names:
        return StartPoint(value)
    raise UnfitError(
        f"{', '.join(names)} or an RFC 3339 time with its offset such as 2026-01-31T06:00:00Z", choices=names
    )


def address(value: object) -> tuple[str, int]:
    """Return host and port of `0.0.0.0:8080` or `[::]:8080`. Port 0 is any free one."""
    found = _ADDRESS.fullmatch(value) if isinstance(value, str) else None
    if found is None or int(found[2]) > 65_535:
        raise UnfitError('"host:port" such as "0.0.0.0:8080" or "[::]:8080", the port at most 65535')
    return found[1].strip("[]"), int(found[2])


def _seconds(text: str) -> float | None:
    found = _QUANTITY.fullmatch(text.strip())
    if found is None or found[2] not in _SECONDS:
        return None
    return int(found[1]) * _SECONDS[found[2]]


def _bytes(value: object) -> int | None:
    number = _whole_number(value)
    if number is not None or not isinstance(value, str):
        return number
    found = _QUANTITY.fullmatch(value.strip())
    if found is None or found[2].lower() not in _BYTES:
        return None
    return int(found[1]) * _BYTES[found[2].lower()]


def _whole_number(value: object) -> int | None:
    if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def instant(value: object) -> datetime | None:
    """Return the moment of an RFC 3339 time with its offset, or None for anything else."""
    if isinstance(value, str) and _RFC_3339.fullmatch(value):
        try:
            value = datetime.fromisoformat(value.upper())
        except ValueError:
            return None
    return value if isinstance(value, datetime) and value.tzinfo is not None else None
