"""Workers as Kubernetes keeps them: real `inbox run` processes, started again however they end."""

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.support.waiting import eventually

POLITE_WITHIN = 30.0
"""What Kubernetes gives a pod by default, its terminationGracePeriodSeconds."""


class Pod:
    """One worker and its lives. What ended otherwise than it was told to is in `ended_by_itself`."""

    def __init__(self, config: Path, log: Path, environment: Mapping[str, str]) -> None:
        # supervised: it ends when this process does, however that comes
        self._command = [sys.executable, "-P", "-m", "inbox", "run", "--supervised", "--config", str(config)]
        self._environment = environment
        self.log = log
        self.lives = 0
        self.ended_by_itself: list[str] = []
        self._told: set[int] = set()
        self._closing = False
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, name=f"keeper-{log.stem}", daemon=True)

    def __enter__(self) -> "Pod":
        self._start()
        self._keeper.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._closing = True
        self._tell(signal.SIGTERM, -signal.SIGTERM, 0)
        self._keeper.join(POLITE_WITHIN)
        if self._keeper.is_alive():
            self.ended_by_itself.append(f"it did not end within {POLITE_WITHIN} s of its SIGTERM\n{self._last_words()}")
            self._process.kill()
            self._keeper.join()

    @property
    def pid(self) -> int:
        return self._process.pid

    def said(self, event: str, *, since: int = 0) -> list[dict[str, Any]]:
        """Its log lines with that event, from the given place in its log on."""
        with self.log.open("rb") as log:
            log.seek(since)
            lines = [json.loads(line) for line in log.read().splitlines() if line.startswith(b"{")]
        return [line for line in lines if line["event"] == event]

    # What a test does to it.

    def kill(self) -> None:
        """SIGKILL; returns when the next life has begun."""
        self._end(signal.SIGKILL, -signal.SIGKILL)

    def terminate(self) -> None:
        """SIGTERM; returns when the next life has begun, or fails the pod when that takes too long."""
        # -SIGTERM is fair from a process so young that Python had not got to its handler
        self._end(signal.SIGTERM, *((0,) if self._catches(signal.SIGTERM) else (0, -signal.SIGTERM)))

    def _catches(self, number: signal.Signals) -> bool:
        """Return whether the process has a handler for the signal, as Linux tells it (proc_pid_status(5))."""
        file = Path(f"/proc/{self.pid}/status")
        status = file.read_text() if file.exists() else "SigCgt: 0"
        [mask] = [int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")]
        return bool(mask >> (number - 1) & 1)

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """SIGSTOP, and SIGCONT at the end."""
        pid = self.pid
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def _end(self, number: signal.Signals, *codes: int) -> None:
        lives = self.lives
        self._tell(number, *codes)
        try:
            eventually(lambda: self.lives > lives, within=POLITE_WITHIN, what=f"the end after {number.name}")
        except AssertionError as error:
            self.ended_by_itself.append(f"{error}\n{self._last_words()}")
            self._tell(signal.SIGKILL, -signal.SIGKILL)

    def _tell(self, number: signal.Signals, *codes: int) -> None:
        with self._lock:
            self._told |= set(codes)
            self._process.send_signal(number)

    # Its keeper.

    def _keep(self) -> None:
        while True:
            code = self._process.wait()
            assert self._process.stdin is not None
            self._process.stdin.close()
            with self._lock:
                if code not in self._told:
                    self.ended_by_itself.append(f"exit code {code}\n{self._last_words()}")
                if self._closing:
                    return
                self._start()

    def _start(self) -> None:
        self._told = set()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=self._environment, stdin=subprocess.PIPE, stdout=log, stderr=log
            )
        self.lives += 1

    def _last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
