"""The supervisor of `inbox run --workers N`: one process for each worker, so that they share no
interpreter lock.

`inbox.process.worker_pool` decides. This module starts and ends the processes, and reads their
reports.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from inbox.log_lines import log
from inbox.process.aggregated_metrics import AggregatedMetrics, WorkerReport, report
from inbox.process.health import Health
from inbox.process.shutdown import Stop
from inbox.process.worker_pool import Action, End, Start, WorkerPool
from inbox.telemetry import WORKER_RESTARTS

_LOOK_SECONDS = 0.1
_REPORT_SECONDS = 1.0
_LAST_WORDS_SECONDS = 2.0


def worker_command(config: Path | None, properties: Sequence[tuple[str, str]], *, until_end: bool) -> list[str]:
    """Return the command that runs one worker as a process, which ends with this one."""
    command = [sys.executable, "-P", "-m", "inbox", "run", "--supervised"]
    command += ["--config", str(config)] if config else []
    command += [part for name, value in properties for part in ("-X", f"{name}={value}")]
    return [*command, "--until-end"] if until_end else command


def supervise(
    command: Sequence[str], pool: WorkerPool, metrics: AggregatedMetrics, stop: Stop, outdated: threading.Event
) -> int:
    """Run the pool's processes until the pool is over, and return the exit code.

    After `stop` is set the pool is over when all processes have ended. Whenever `outdated` is set,
    all of them are replaced, one after the other.
    """
    return _Supervisor(command, pool, metrics).run(stop, outdated)


class _WorkerProcess:
    """A process of a worker, and the thread that reads its reports."""

    def __init__(self, command: Sequence[str], report: WorkerReport, metrics: AggregatedMetrics) -> None:
        self.report = report
        self._metrics = metrics
        reports, theirs = os.pipe()
        try:
            # A process group of its own: Ctrl-C reaches the supervisor alone, which passes it on once.
            self._process = subprocess.Popen(
                [*command, "--worker", str(report.worker), "--reports", str(theirs)],
                stdin=subprocess.PIPE,
                pass_fds=[theirs],
                process_group=0,
            )
        except BaseException:
            os.close(reports)
            raise
        finally:
            os.close(theirs)
        self.pid = self._process.pid
        self._reader = threading.Thread(target=self._read, args=[reports], name="inbox-reports", daemon=True)
        self._reader.start()

    def code(self) -> int | None:
        """Return the exit code, 128 + n after signal n, or None while the process runs."""
        code = self._process.poll()
        return code if code is None or code >= 0 else 128 - code

    def terminate(self) -> None:
        self._process.terminate()

    def close(self) -> None:
        """Read the process's last reports, and record that the process is gone."""
        self._reader.join(_LAST_WORDS_SECONDS)
        self._metrics.ended(self.report)
        if self._process.stdin is not None:
            self._process.stdin.close()

    def _read(self, descriptor: int) -> None:
        with os.fdopen(descriptor, "rb") as reports:
            for line in reports:
                if line.endswith(b"\n"):  # without a line that the end of the process cut off
                    self._metrics.reported(self.report, line)


class _Supervisor:
    def __init__(self, command: Sequence[str], pool: WorkerPool, metrics: AggregatedMetrics) -> None:
        self._command = command
        self._pool = pool
        self._metrics = metrics
        self._processes: dict[int, _WorkerProcess] = {}
        self._started: set[int] = set()

    def run(self, stop: Stop, outdated: threading.Event) -> int:
        asked = False
        while not self._pool.over:
            if outdated.is_set():
                outdated.clear()
                self._pool.replace_all()
            if stop.is_set() and not asked:
                asked = True
                self._carry_out(self._pool.stop())
            self._look()
            self._carry_out(self._pool.due(time.monotonic()))
            time.sleep(_LOOK_SECONDS) if asked else stop.wait(_LOOK_SECONDS)
        return self._pool.code

    def _look(self) -> None:
        for worker, process in list(self._processes.items()):
            if (code := process.code()) is not None:
                del self._processes[worker]
                process.close()
                self._ended(worker, process.pid, code)
            elif self._metrics.is_ready(worker):
                self._pool.ready(worker)

    def _ended(self, worker: int, pid: int, code: int) -> None:
        now = time.monotonic()
        actions = self._pool.ended(worker, code, now)
        pause = self._pool.starts_in(worker, now)
        tell = log().error if code else log().info
        tell(
            "worker-ended",
            worker=worker,
            pid=pid,
            exit_code=code,
            starts_again_in_seconds=None if pause is None else round(pause, 1),
        )
        self._carry_out(actions)

    def _carry_out(self, actions: Iterable[Action]) -> None:
        for action in actions:
            match action:
                case Start(worker):
                    self._start(worker)
                case End(worker):
                    self._processes[worker].terminate()

    def _start(self, worker: int) -> None:
        if worker in self._started:
            WORKER_RESTARTS.inc()
        self._started.add(worker)
        process = _WorkerProcess(self._command, self._metrics.began(worker), self._metrics)
        self._processes[worker] = process
        log().info("worker-started", worker=worker, pid=process.pid)


def end_with_supervisor() -> None:
    """Stop this worker in order when its supervising process is gone, however that ended."""

    def watch() -> None:
        # Nothing is ever written to descriptor 0, so only the closing of its other end ends the read. Not sys.stdin:
        # a thread that waits inside it breaks the interpreter's shutdown.
        os.read(0, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="inbox-supervised", daemon=True).start()


@contextmanager
def reporting(descriptor: int | None, health: Health) -> Iterator[None]:
    """Report this worker's health and metrics to the supervisor every second, and once more at the end."""
    if descriptor is None:
        yield
        return
    over = threading.Event()

    def send() -> None:
        # A supervisor that is gone no longer reads the reports; this worker ends then too.
        with suppress(BrokenPipeError), os.fdopen(descriptor, "wb", buffering=0) as reports:
            while True:
                last = over.wait(_REPORT_SECONDS)
                reports.write(report(health.not_live(), health.not_ready()))
                if last:
                    return

    thread = threading.Thread(target=send, name="inbox-reporting", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(_LAST_WORDS_SECONDS)
