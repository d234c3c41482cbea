"""How values reach stdout: one JSON object, a table for a terminal, or plain lines for a pipe."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from io import StringIO
from typing import Any

import click
import orjson
from rich.console import Console
from rich.table import Table

_WIDTH_OF_A_PIPE = 10_000


def print_json(document: Mapping[str, Any]) -> None:
    """One object on one line."""
    click.echo(orjson.dumps(document).decode())


def print_table(table: Table) -> None:
    """For a terminal as wide as that is; a pipe gets every row on one line, whole."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table)
        return
    text = StringIO()
    Console(file=text, width=_WIDTH_OF_A_PIPE, highlight=False).print(table)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))


def notice(text: str) -> None:
    """Something to know beside the answer, on stderr."""
    click.echo(f"inbox: {text}", err=True)


def timestamp(moment: datetime | None) -> str | None:
    """RFC 3339, in UTC."""
    return None if moment is None else moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
