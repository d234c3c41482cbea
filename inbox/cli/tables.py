"""The tables for a terminal, and for a pipe with every row on one line."""

import sys
from collections.abc import Mapping, Sequence
from io import StringIO
from shutil import get_terminal_size
from typing import Literal

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from inbox.printable import printable, printable_lines

_WIDTH_OF_A_PIPE = 10_000
_WIDEST_CELL = 24
"""The most characters of a cell before the last one, if each row has one line."""


class PlainTable:
    """A table whose cells are text and never rich's markup; a line break in a cell begins a line of that cell."""

    def __init__(self, title: str | None = None) -> None:
        self.table = Table(box=box.SIMPLE_HEAD, title=None if title is None else _plain(title), title_justify="left")

    def add_columns(self, *names: str, justify: Literal["left", "right"] = "left") -> None:
        """Add columns, which fold text that is too wide for them."""
        for name in names:
            self.table.add_column(name, overflow="fold", justify=justify)

    def add_row(self, *cells: str, styles: Mapping[int, str] | None = None) -> None:
        """Add a row; `styles` are rich's, by the index of the cell."""
        styles = styles or {}
        self.table.add_row(*(_plain(cell, styles.get(index, "")) for index, cell in enumerate(cells)))


def _plain(text: str, style: str = "") -> Text:
    return Text(printable_lines(text), style=style)


def print_rows(rows: Sequence[Sequence[str]]) -> None:
    """Print each row on one line of the terminal, as much of it as fits. The last cells get what the others leave."""
    width = get_terminal_size().columns
    lines = [[printable(cell) for cell in row] for row in rows]
    widths = [min(_WIDEST_CELL, max(map(len, column))) for column in zip(*lines, strict=True)]
    for line in lines:
        cells = [_cut(cell, most).ljust(most) for cell, most in zip(line[:-1], widths, strict=False)]
        click.echo(_cut("  ".join([*cells, line[-1]]), width))


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def print_table(table: PlainTable) -> None:
    """Print a table as wide as the terminal. A pipe gets every row on one line, whole."""
    if sys.stdout.isatty():
        Console(highlight=False).print(table.table)
        return
    text = StringIO()
    Console(file=text, width=_WIDTH_OF_A_PIPE, highlight=False).print(table.table)
    click.echo("\n".join(line.rstrip() for line in text.getvalue().splitlines()))
