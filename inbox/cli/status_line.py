"""The line at the foot of the terminal that says how the sink is doing."""

import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.live import Live
from rich.text import Text

from inbox.log_lines import configure_logging
from inbox.printable import printable
from inbox.process.health import waits_for
from inbox.sink.worker.progress import WorkerProgress

_REFRESH_PER_SECOND = 4
_RATE_SECONDS = 3.0


class LiveLine:
    """A renderable line as of now: events a second, lag, size of the last batch, endings, and the
    reason for a wait."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._seen: deque[tuple[float, int]] = deque()
        self._progress: WorkerProgress | None = None

    def show(self, progress: WorkerProgress) -> None:
        """Show the figures of this worker from now on."""
        self._progress = progress

    def __rich__(self) -> Text:
        if (progress := self._progress) is None:
            return Text("starting", style="dim", no_wrap=True, overflow="ellipsis")
        line = Text(f"{self._rate(progress.records):,.0f}", style="bold", overflow="ellipsis")
        return line.append(self._figures(progress), "not bold").append(*_trouble(progress))

    def _figures(self, progress: WorkerProgress) -> str:
        endings = "  ".join(
            f"{ending.value.replace('_', '-')} {count:,}"
            for ending, count in progress.settlement.by_ending().items()
            if count
        )
        return f" events/s  lag {progress.lag:,}  batch {progress.batch_records:,}  {endings}"

    def _rate(self, records: int) -> float:
        now = self._clock()
        self._seen.append((now, records))
        while len(self._seen) > 2 and now - self._seen[1][0] >= _RATE_SECONDS:
            self._seen.popleft()
        since, before = self._seen[0]
        return (records - before) / (now - since) if now > since else 0.0


def _trouble(progress: WorkerProgress) -> tuple[str, str]:
    if (waiting := waits_for(progress)) is not None:
        return f"  {printable(' '.join(waiting.split()))}", "yellow"
    return ("", "") if progress.joined else ("  joining the group", "dim")


@contextmanager
def live_line() -> Iterator[Callable[[WorkerProgress], None]]:
    """Keep the line on stderr while the context is entered, with the progress given. Log lines appear above it."""
    line = LiveLine()
    live = Live(line, console=Console(stderr=True), refresh_per_second=_REFRESH_PER_SECOND, redirect_stdout=False)
    try:
        with live:
            configure_logging(human=True)  # stderr is now a stream that knows of the line
            yield line.show
    finally:
        configure_logging(human=sys.stderr.isatty())
