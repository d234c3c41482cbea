"""The loop of `inbox status --watch`, which reads the status again and again and shows the newest."""

import sys
from collections.abc import Callable

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from inbox.cli.output import notice, print_json, print_lines, print_text
from inbox.cli.redaction import of_command
from inbox.cli.reports.status import document, holds_lines, partitions_table, summary
from inbox.cli.tables import print_table
from inbox.errors import TryAgainError
from inbox.operations.status.status import Status
from inbox.printable import printable_lines
from inbox.process.shutdown import Stop


def watch_status(look: Callable[[], Status], stop: Stop, *, interval_seconds: float, as_json: bool) -> None:
    """Show the status until `stop` is set.

    A terminal shows it live. A pipe gets one table after the other, or with `as_json` one JSON
    object a line. An outage of the database is reported, and the status is read again after the
    interval.
    """
    if as_json or not sys.stdout.isatty():
        _print_each(look, stop, interval_seconds, as_json=as_json)
        return
    with Live(console=Console(highlight=False), auto_refresh=False, vertical_overflow="visible") as live:
        shown: Status | None = None
        while not stop.is_set():
            trouble = ""
            try:
                shown = look()
            except TryAgainError as error:
                trouble = of_command().hidden_in_sentence(str(error))
            live.update(_screen(shown, trouble), refresh=True)
            stop.wait(interval_seconds)


def _print_each(look: Callable[[], Status], stop: Stop, interval_seconds: float, *, as_json: bool) -> None:
    while not stop.is_set():
        try:
            found = look()
        except TryAgainError as error:
            notice(str(error))
        else:
            for text in found.notices:
                notice(text)
            if as_json:
                print_json(document(found))
            else:
                print_lines(holds_lines(found))
                print_table(partitions_table(found))
                print_text(summary(found))
            sys.stdout.flush()
        stop.wait(interval_seconds)


def _screen(found: Status | None, trouble: str) -> Group:
    troubles = [trouble] if trouble else list(found.notices) if found else []
    parts: list[RenderableType] = []
    if found is not None:
        held = [Text(printable_lines(line), style="yellow") for line in holds_lines(found)]
        parts = [*held, partitions_table(found, screen=True).table, Text(printable_lines(summary(found)))]
    parts += [Text(printable_lines(text), style="yellow") for text in troubles]
    return Group(*parts, Text("Ctrl-C ends", style="dim"))
