"""`inbox run --workers N`: one process for each worker, so that they share no interpreter lock.

None is restarted: when one ends unasked the others are stopped in order, and its exit code is the
program's, so that whoever supervises this process (systemd, Kubernetes) decides.
"""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from inbox.cli.signals import Stop
from inbox.errors import StartupError
from inbox.telemetry import log

_LOOK_SECONDS = 0.1
_LAST_PORT = 65535

Workers = Sequence["subprocess.Popen[bytes]"]


def worker_command(config: Path | None, properties: Sequence[tuple[str, str]], *, until_end: bool) -> list[str]:
    """One worker as a process that ends with this one."""
    command = [sys.executable, "-P", "-m", "inbox", "run", "--supervised"]
    command += ["--config", str(config)] if config else []
    command += [part for name, value in properties for part in ("-X", f"{name}={value}")]
    return [*command, "--until-end"] if until_end else command


def environments(count: int, listen: tuple[str, int] | None) -> list[dict[str, str]]:
    """The environment of each worker: where `[http] listen` is set, the ports from there on are theirs in turn.

    Raises:
        StartupError: there are not that many ports.
    """
    if listen is None:
        return [dict(os.environ) for _ in range(count)]
    host, port = listen
    if port + count - 1 > _LAST_PORT:
        raise StartupError(f"{count} workers need the ports from {port} on, one each; lower the one in [http] listen")
    shown = f"[{host}]" if ":" in host else host
    return [{**os.environ, "INBOX_HTTP__LISTEN": f"{shown}:{port + place if port else 0}"} for place in range(count)]


def supervise(command: Sequence[str], environs: Sequence[Mapping[str, str]], stop: Stop) -> int:
    """Runs one process for each environment until all have ended; the exit code."""
    # A process group of its own: Ctrl-C comes to this process alone, and is passed on once.
    workers = [subprocess.Popen(command, stdin=subprocess.PIPE, env=environ, process_group=0) for environ in environs]
    ended: list[int] = []
    running = list(workers)
    stopping = False
    while running:
        stop.wait(_LOOK_SECONDS) if not stopping else running[0].wait()
        ended += [_code(worker) for worker in running if worker.poll() is not None]
        running = [worker for worker in running if worker.returncode is None]
        if not stopping and (stop.is_set() or any(ended)):
            stopping = True
            _terminate(running)
    return next((code for code in ended if code), 0)


def end_with_supervisor() -> None:
    """In a worker: when the supervising process is gone, however it ended, stop in order as well."""

    def watch() -> None:
        # Nothing is ever written there, so only the closing of the other end ends this. Not sys.stdin: a thread
        # that waits inside it breaks the end of the interpreter.
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="inbox-supervised", daemon=True).start()


def _code(worker: "subprocess.Popen[bytes]") -> int:
    code = worker.returncode
    if code:
        log().error("worker-ended", pid=worker.pid, exit_code=code)
    return code if code >= 0 else 128 - code


def _terminate(workers: Workers) -> None:
    for worker in workers:
        worker.terminate()
