"""Keep one server and one directory, and end both when the parent process is gone.

Run by path (`python -I -S watchdog.py DIRECTORY`) with the standard library alone, so that it starts quickly.
It reads requests from standard input, one JSON object a line, and answers each with one:

    {"do": "start", "command": [...], "log": PATH, "uid": N | null, "gid": N | null}   -> {"pid": N}
    {"do": "status"}                                       -> {"pid": N} or {"exit": CODE} or {"exit": null}
    {"do": "stop", "signal": N, "within": SECONDS}         -> {"exit": CODE}
    {"do": "kill"}                                         -> {"exit": CODE}

Only the parent holds the other end of standard input. When that closes, for any reason, SIGKILL included,
the server is ended and the directory removed. `exit` is a return code as subprocess gives it.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

LAST_GRACE_SECONDS = 10.0


class Watchdog:
    """A keeper of one server at a time, which it starts and ends on request."""

    def __init__(self) -> None:
        self.server: subprocess.Popen[bytes] | None = None
        self.last_stop_signal = int(signal.SIGTERM)

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """Carry out one request; an OSError becomes the answer `{"error": TEXT}`."""
        try:
            match request["do"]:
                case "start":
                    self.start(request)
                case "stop":
                    self.stop(request["signal"], request["within"])
                case "kill":
                    self.kill()
        except OSError as error:
            return {"error": str(error)}
        return self.status()

    def start(self, request: dict[str, Any]) -> None:
        self.last_stop_signal = request["stop_signal"]
        # no supplementary groups: root's would otherwise stay with the unprivileged server
        groups: list[int] | None = None if request["uid"] is None else []
        with Path(request["log"]).open("ab") as log:
            self.server = subprocess.Popen(
                request["command"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=request["directory"],
                user=request["uid"],
                group=request["gid"],
                extra_groups=groups,
                start_new_session=True,
            )

    def status(self) -> dict[str, Any]:
        if self.server is None:
            return {"exit": None}
        code = self.server.poll()
        return {"pid": self.server.pid} if code is None else {"exit": code}

    def stop(self, stop_signal: int, within: float) -> None:
        if self.server is None or self.server.poll() is not None:
            return
        self.server.send_signal(stop_signal)
        # a server that a test has frozen would not receive the signal
        self.server.send_signal(signal.SIGCONT)
        try:
            self.server.wait(within)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Send SIGKILL to the server and to everything it started."""
        if self.server is None or self.server.poll() is not None:
            return
        # stopped first, so that it cannot start another child between the look and the kill
        self.server.send_signal(signal.SIGSTOP)
        family = list(descendants(self.server.pid))
        self.server.kill()
        for pid in family:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.wait()
        wait_until_gone(family, within=5.0)


def descendants(pid: int) -> Iterator[int]:
    """Yield the processes below `pid`, from /proc; none on a system without /proc.

    PostgreSQL's backends each start their own session, so the process group does not name them.
    """
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            children.setdefault(int(state_and_parent(entry)[1]), []).append(int(entry.name))
    waiting = children.get(pid, [])
    while waiting:
        child = waiting.pop()
        yield child
        waiting.extend(children.get(child, []))


def state_and_parent(process: Path) -> tuple[str, str]:
    """Return fields 3 and 4 of /proc/PID/stat (proc(5)); the name before them may hold spaces and brackets."""
    state, parent, *_ = (process / "stat").read_text().rpartition(")")[2].split()
    return state, parent


def has_ended(pid: int) -> bool:
    """Return whether a process is gone, or is a zombie that only waits for its new parent to reap it."""
    try:
        os.kill(pid, 0)
        return state_and_parent(Path(f"/proc/{pid}"))[0] == "Z"
    except ProcessLookupError:
        return True
    except OSError:
        # the process is another account's, or the system has no /proc: all that is known is that it was there
        return False


def wait_until_gone(pids: list[int], within: float) -> None:
    """Wait up to `within` seconds for the processes to end, since they hold the server's ports and shared memory."""
    deadline = time.monotonic() + within
    while not all(has_ended(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.01)


def leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)


def main() -> None:
    """Serve requests until standard input ends, then leave nothing behind."""
    directory = Path(sys.argv[1])
    signal.signal(signal.SIGTERM, leave)
    watchdog = Watchdog()
    try:
        for line in sys.stdin:
            sys.stdout.write(json.dumps(watchdog.answer(json.loads(line))) + "\n")
            sys.stdout.flush()
    finally:
        # The parent may have died before it read the answer; the process ends even so.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        watchdog.stop(watchdog.last_stop_signal, LAST_GRACE_SECONDS)
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
