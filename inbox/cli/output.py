"""The output of values to stdout: one JSON object, or lines. `inbox.cli.tables` prints tables.

Only these two modules write to the terminal (ruff bans `click.echo` elsewhere), so that no text
from outside is taken for markup or an escape sequence.
"""

import re
import sys
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import click
import orjson

from inbox.cli.redaction import of_command
from inbox.printable import printable, printable_lines

_CONTROLS = re.compile("[\x7f-\x9f]")
"""The characters DEL and C1 controls, which JSON lets through and terminals obey."""


def print_text(text: str, *, err: bool = False, nl: bool = True) -> None:
    """Print text of any number of lines."""
    click.echo(printable_lines(text), err=err, nl=nl)


def print_lines(lines: Iterable[str]) -> None:
    """Print each text on a line of its own."""
    for line in lines:
        click.echo(printable(line))


def print_json(document: Mapping[str, Any], *, indented: bool = False) -> None:
    """Print one object, on one line unless `indented`."""
    text = orjson.dumps(document, option=orjson.OPT_INDENT_2 if indented else 0).decode()
    click.echo(_CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def notice(text: str) -> None:
    """Print a remark beside the answer, on stderr, without the secrets of the command."""
    print_text(f"inbox: {of_command().hidden_in_sentence(text)}", err=True)


def is_screen() -> bool:
    """Return whether people read the output on a terminal, where what does not fit a screen is gone."""
    return sys.stdout.isatty()


def timestamp(moment: datetime | None) -> str | None:
    """Return a time in UTC in the form of RFC 3339."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
