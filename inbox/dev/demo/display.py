"""The output of the demo: progress while it runs, and one table at the end."""

from collections.abc import Mapping, Sequence
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.table import Table

from inbox.dev.demo.comparison import ConsumerResult
from inbox.dev.demo.kill_test import KillTest

_EXACT = "The sink applied every committed order exactly once: its effect, its claim and its offset commit together."
_NOT_EXACT = "The sink was NOT exact. This is a defect: please report it with the table above."
_ABORTED_APPLIED = "Events that were never committed were applied, too: "


class Display:
    """A display with bars on a terminal, or with a line for each kill elsewhere."""

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)

    @property
    def is_terminal(self) -> bool:
        return self._console.is_terminal

    def say(self, text: str) -> None:
        # a line is never broken, since the output is also for copying
        self._console.print(text, soft_wrap=True, markup=False)

    def bars(self) -> Progress:
        """Return a progress display that vanishes at its end, and shows nothing without a terminal."""
        columns = (
            TextColumn("{task.description:<17}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
        )
        return Progress(*columns, console=self._console, transient=True, disable=not self.is_terminal)

    def show(self, result: Table) -> None:
        self._console.print(result)

    def conclude(self, trials: Sequence[KillTest], verdicts: Mapping[str, ConsumerResult], exact: bool) -> None:
        self.show(table(trials, verdicts))
        if ghosts := [f"{name}: {each.never_committed}" for name, each in verdicts.items() if each.never_committed]:
            self.say(_ABORTED_APPLIED + ", ".join(ghosts))
        self.say(_EXACT if exact else _NOT_EXACT)


def table(trials: Sequence[KillTest], verdicts: Mapping[str, ConsumerResult]) -> Table:
    result = Table("guarantee", title="the same events, the same crashes")
    for column in ("killed", "committed", "applied", "lost", "doubled", "stock"):
        result.add_column(column, justify="right")
    for trial in trials:
        each = verdicts[trial.guarantee]
        counts = (trial.kills, each.committed, each.applied, each.lost, each.doubled)
        result.add_row(trial.guarantee, *map(str, counts), "right" if each.stock_right else "wrong")
    return result
