"""The parent's side of the watchdog: a server that cannot outlive this process, and its directory."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inbox.errors import StartupError

WATCHDOG = Path(__file__).with_name("watchdog.py")
LOG_LINES_SHOWN = 12


@dataclass(frozen=True)
class SystemUser:
    """A user of the operating system, as which a server runs."""

    uid: int
    gid: int


class Supervised:
    """A server process under a watchdog, and the temporary directory that belongs to it.

    The watchdog ends the server and removes the directory as soon as the write end of its pipe is closed
    everywhere. Python opens that end not inheritable, so started programs never get it, and a fork of this
    process closes its copy immediately. A fork made by C code that bypasses `os.fork` would keep the server
    alive. `parent` is where the directory is made, by default among the temporary files.
    """

    def __init__(self, name: str, *, stop_signal: signal.Signals = signal.SIGTERM, parent: Path | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"kafka-inbox-{name}-", dir=parent))
        self.log = self.directory / "server.log"
        self._stop_signal = stop_signal
        self._lock = threading.Lock()
        read_end, self._write_end = os.pipe()
        try:
            self._watchdog = subprocess.Popen(
                [sys.executable, "-I", "-S", str(WATCHDOG), str(self.directory)],
                stdin=read_end,
                stdout=subprocess.PIPE,
                start_new_session=True,  # Ctrl-C ends the clients first, then we end the servers
            )
        finally:
            os.close(read_end)
        _living.add(self)

    @property
    def watchdog_pid(self) -> int:
        """Return the process id of the watchdog."""
        return self._watchdog.pid

    @property
    def pid(self) -> int | None:
        """Return the server's process id, or None when it does not run."""
        return self._ask(do="status").get("pid")

    @property
    def exit_code(self) -> int | None:
        """Return the exit code of the last command; None while it runs or before the first."""
        return self._ask(do="status").get("exit")

    def start(self, command: list[str], *, account: SystemUser | None = None) -> int:
        """Start `command` in the directory, with its output going to `log`; return its process id.

        Raises StartupError if it cannot be started.
        """
        return int(
            self._ask(
                do="start",
                command=command,
                log=str(self.log),
                directory=str(self.directory),
                stop_signal=int(self._stop_signal),
                uid=account and account.uid,
                gid=account and account.gid,
            )["pid"]
        )

    def wait(self, *, within: float) -> int:
        """Wait for the command to end by itself, and kill it after `within` seconds; return its exit code."""
        deadline = time.monotonic() + within
        while (code := self.exit_code) is None:
            if time.monotonic() > deadline:
                self.kill()
            time.sleep(0.01)
        return code

    def stop(self, *, within: float = 15.0) -> None:
        """Ask the server to end, and kill it after `within` seconds."""
        self._ask(do="stop", signal=int(self._stop_signal), within=within)

    def kill(self) -> None:
        """Send SIGKILL to the server and its children; return when they are gone. The directory stays."""
        self._ask(do="kill")

    def close(self) -> None:
        """End server and watchdog and remove the directory. Calling it again does nothing."""
        with self._lock:
            if self._write_end < 0:
                return
            self._close_write_end()
            self._watchdog.wait()
            if self._watchdog.stdout is not None:
                self._watchdog.stdout.close()

    def log_tail(self) -> str:
        """Return the last lines of the log, for an error message."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_LINES_SHOWN:])

    def _ask(self, **request: object) -> dict[str, Any]:
        with self._lock:
            if self._write_end < 0 or self._watchdog.stdout is None:
                raise StartupError(f"could not {request['do']} a server in {self.directory}: it was given back already")
            os.write(self._write_end, json.dumps(request).encode() + b"\n")
            line = self._watchdog.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the watchdog has ended"}
        if "error" in answer:
            raise StartupError(f"could not {request['do']} a server in {self.directory}: {answer['error']}")
        return answer

    def _close_write_end(self) -> None:
        if self._write_end >= 0:
            os.close(self._write_end)
            self._write_end = -1


_living: "weakref.WeakSet[Supervised]" = weakref.WeakSet()


def _let_go_after_fork() -> None:
    for supervised in list(_living):
        supervised._close_write_end()


os.register_at_fork(after_in_child=_let_go_after_fork)
