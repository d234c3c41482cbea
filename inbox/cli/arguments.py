"""The command line's syntax for a topic, partitions and dead letters, and the readable form of a key."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import wraps
from typing import Any

import click

from inbox.cli.options import Command
from inbox.settings.problems import UnfitError
from inbox.settings.units import duration, instant
from inbox.store.inbox.dead_letter_queries import Selection

_RATE = re.compile(r"([0-9]{1,8})/s")
_MOST_PER_SECOND = 10_000_000


def selection_options(*, everything: str) -> Callable[[Command], Command]:
    """Add ids and filters as options, and pass them to the command as one `selection`.

    `everything` is the help of --all.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def with_selection(*, ids: tuple[int, ...], **given: Any) -> Any:
            names = ("topic", "route", "key", "error", "cause", "older_than")
            filters = {name: given.pop(name) for name in names}
            return command(selection=Selection(ids=ids or None, **filters), **given)

        options = [
            click.argument("ids", metavar="[ID]...", nargs=-1, type=int),
            click.option("--all", "everything", is_flag=True, help=everything),
            click.option("--topic", metavar="TOPIC", help="Those from this topic."),
            click.option("--route", metavar="NAME", help="Those of this route."),
            click.option("--key", metavar="KEY", callback=_key, help="Dead letters of this key, as the list shows it."),
            click.option("--error", metavar="TEXT", help="Dead letters whose error contains this text, ignoring case."),
            click.option("--cause", metavar="CAUSE", help="Dead letters of this cause, as `causes` shows its id."),
            click.option("--older-than", metavar="1h", callback=age, help="Dead letters parked longer ago than this."),
        ]
        decorated: Any = with_selection
        for option in reversed(options):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def readable_key(key: bytes | None) -> str | None:
    r"""Return a key as text, or as `\x` and its bytes in hexadecimal.

    Hexadecimal is for a key that is not text, or that is a text which looks like hexadecimal.
    """
    if key is None:
        return None
    try:
        text = key.decode()
    except UnicodeDecodeError:
        return f"\\x{key.hex()}"
    return text if text.isprintable() and not text.startswith("\\x") else f"\\x{key.hex()}"


def moment(_: click.Context, parameter: click.Parameter, given: str | None) -> datetime | None:
    """Return the moment that a time with its offset, or a duration before now, stands for."""
    if given is None:
        return None
    try:
        return instant(given) or datetime.now(UTC) - duration("0s", "36500d")(given)
    except UnfitError:
        raise click.BadParameter(
            "expected an RFC 3339 time with its offset such as 2026-01-31T06:00:00Z, or a duration such as 2h",
            param=parameter,
        ) from None


def _key(_: click.Context, __: click.Parameter, given: str | None) -> bytes | None:
    if given is None or not given.startswith("\\x"):
        return None if given is None else given.encode(errors="surrogateescape")
    try:
        return bytes.fromhex(given[2:])
    except ValueError:
        raise click.BadParameter(r"after \x come the bytes of the key in hexadecimal, as the list shows it") from None


def age(_: click.Context, __: click.Parameter, given: str | None) -> timedelta | None:
    """Return the duration that a text such as `2h` stands for."""
    if given is None:
        return None
    try:
        return duration("0s", "36500d")(given)
    except UnfitError as error:
        raise click.BadParameter(f"expected {error.expected}") from None


def rate(_: click.Context, __: click.Parameter, given: str | None) -> int | None:
    """Return the events a second that a text such as `2000/s` stands for."""
    if given is None:
        return None
    found = _RATE.fullmatch(given.strip())
    if found is None or not 1 <= int(found[1]) <= _MOST_PER_SECOND:
        raise click.BadParameter(f"expected 1/s to {_MOST_PER_SECOND}/s, as in 2000/s")
    return int(found[1])


def where(text: str) -> tuple[str, tuple[int, ...] | None]:
    """Return topic and partitions of `orders` or `orders:0,3`. Kafka allows no colon in a topic's name."""
    name, colon, numbers = text.partition(":")
    if not colon:
        return name, None
    try:
        return name, tuple(sorted({int(number) for number in numbers.split(",")}))
    except ValueError:
        raise click.BadParameter("expected T or T:P,P, as in orders:0,3", param_hint="--topic") from None
