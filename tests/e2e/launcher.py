"""Processes of the `inbox` command, as a test orders them."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

from inbox.failpoints import Failpoint

ROOT = Path(__file__).parents[2]
KILLED = -signal.SIGKILL
HANGS_SECONDS = 240.0


@dataclass(frozen=True)
class Kill:
    """SIGKILL at the `hit`-th time that a failpoint is reached, `after` seconds later."""

    at: Failpoint
    hit: int = 1
    after: float = 0.0


class ForkServer:
    """Runs the command in forks of one process, one after the other; see `tests.e2e.armed`.

    `packages` is a directory of installed packages, as `tests.support.sinks.offer_handlers` makes it.
    """

    def __init__(self, packages: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.e2e.armed"],
            cwd=ROOT,
            env=environment(packages),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "ForkServer":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def run(
        self, arguments: Sequence[str], log: Path, *, kill: Kill | None = None, kill_after: float | None = None
    ) -> int:
        """The exit code of `inbox <arguments>`, negative for a signal; `kill_after` kills it from outside."""
        assert self._process.stdin is not None
        order = {"arguments": list(arguments), "log": str(log), "kill": asdict(kill) if kill else None}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        pid = self._answer()
        timers = [threading.Timer(HANGS_SECONDS, _give_up, (pid,))]
        if kill_after is not None:
            timers.append(threading.Timer(kill_after, os.kill, (pid, signal.SIGKILL)))
        for timer in timers:
            timer.start()
        try:
            return self._answer()
        finally:
            for timer in timers:
                timer.cancel()

    def _answer(self) -> int:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fork server ended"
        return int(line)


def _give_up(pid: int) -> None:
    """Ends a run that hangs, so that its log shows where (see `faulthandler`); its exit code is not that of a kill."""
    os.kill(pid, signal.SIGABRT)


def environment(packages: Path | None = None, **variables: str) -> Mapping[str, str]:
    """This process's environment without what would configure an inbox."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("INBOX_")}
    paths = [str(ROOT), *([str(packages)] if packages else [])]
    return {**kept, "PYTHONPATH": os.pathsep.join(paths), **variables}
