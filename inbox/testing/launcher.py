"""Start runs of the sink from a test."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

KILLED = -signal.SIGKILL
HANGS_SECONDS = 180.0


class Launcher:
    """A fork server for the runs of a test session, one after the other; see `inbox.testing.fork_server`."""

    def __init__(self) -> None:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("INBOX_")}
        environ["PYTHONPATH"] = os.pathsep.join([path for path in sys.path if path])
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inbox.testing.fork_server"],
            env=environ,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> "Launcher":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._process.communicate()

    def run(
        self,
        arguments: Sequence[str],
        *,
        log: Path,
        environment: dict[str, str],
        path: Sequence[str] = (),
        kill: dict[str, object] | None = None,
        connections: Path | None = None,
    ) -> int:
        """Run `inbox <arguments>` and return its exit code, negative for a signal.

        Raises:
            TimeoutError: it did not end within HANGS_SECONDS; the fork server is gone then.
        """
        order = {
            "arguments": list(arguments),
            "log": str(log),
            "environment": environment,
            "path": list(path),
            "kill": kill,
            "connections": None if connections is None else str(connections),
        }
        answers: list[str] = []
        asking = threading.Thread(target=self._ask, args=(json.dumps(order), answers), daemon=True)
        asking.start()
        asking.join(HANGS_SECONDS)
        if not answers:
            self._process.kill()
            raise TimeoutError(f"inbox {arguments[0]} did not end within {HANGS_SECONDS:.0f} s; its log is {log}")
        return int(answers[0])

    def _ask(self, order: str, answers: list[str]) -> None:
        if self._process.stdin is None or self._process.stdout is None:
            raise AssertionError("both are pipes")
        self._process.stdin.write(order + "\n")
        self._process.stdin.flush()
        if line := self._process.stdout.readline():
            answers.append(line)
