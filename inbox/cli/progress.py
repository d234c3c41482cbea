"""The progress bars at the foot of the terminal, for commands that take time or wait for a replay."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from inbox.cli.output import notice
from inbox.store.inbox.replays import Replay, ReplayState

_LOOK_SECONDS = 0.5
_STILL_SECONDS = 15.0

NOTHING_MOVES = "nothing moves yet; check that the sink runs: `inbox status` shows the owners"


@contextmanager
def bar(doing: str) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr if stderr is a terminal.

    Yields a function that takes the number done and the total.
    """
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


def ended_otherwise(replay_id: int, state: ReplayState) -> str:
    """Return the sentence about a replay that did not reach its end."""
    return f"replay {replay_id} was {state.value}; `inbox replay list` shows how far it came"


def shown_until_settled(look: Callable[[], Replay]) -> ReplayState:
    """Wait until the replay ends, and return its state.

    On a terminal a bar on stderr shows the progress, counted in offsets.
    """
    columns = (TextColumn("replay {task.fields[number]}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
    found = look()
    total = sum(each.until_offset - each.from_offset for each in found.ranges)
    with bar:
        task = bar.add_task("", total=total, number=found.replay_id)
        done, since, reported = -1, time.monotonic(), False
        while found.state is ReplayState.RUNNING:
            now = sum(each.next_offset - each.from_offset for each in found.ranges)
            bar.update(task, completed=now)
            done, since = (now, time.monotonic()) if now != done else (done, since)
            if not reported and time.monotonic() - since > _STILL_SECONDS:
                reported = True
                notice(NOTHING_MOVES)
            time.sleep(_LOOK_SECONDS)
            found = look()
        bar.update(task, completed=total if found.state is ReplayState.SETTLED else done)
    return found.state
