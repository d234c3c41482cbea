"""Runs the `inbox` command in processes that kill themselves at a failpoint.

A fork server: what `inbox run` needs is imported once, before any thread or connection exists, and each run is a fork
of that, so that a start costs no import. Production code knows nothing of this; here is where its failpoints are armed.

On stdin one order a line, as JSON: {"arguments": [...], "log": FILE, "kill": null}, or for one that kills itself
{..., "kill": {"at": FAILPOINT, "hit": N, "after": SECONDS}}. On stdout, for each, the process id, and when it ended its
exit code (-9: killed).
"""

import faulthandler
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import inbox.cli.commands.run
import inbox.cli.run_worker  # noqa: F401 - the program imports both when it is asked to run
from inbox import failpoints
from inbox.cli import main as inbox_command


def serve() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            run(order, server)
        print(pid, flush=True)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def run(order: dict[str, Any], server: int) -> None:
    """In the child: becomes the command, and never returns."""
    log = os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    faulthandler.enable()  # a run that hangs is ended by SIGABRT
    end_with(server)
    if order["kill"] is not None:
        failpoints.arm(killer(**order["kill"]))
    sys.argv = ["inbox", *order["arguments"]]
    code: object = 0
    try:
        code = inbox_command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def killer(at: str, hit: int, after: float) -> Callable[[failpoints.Failpoint], None]:
    """Kills this process `after` seconds past the `hit`-th time that the failpoint is reached."""
    hits = itertools.count(1)

    def reached(point: failpoints.Failpoint) -> None:
        if point == at and next(hits) == hit:
            if after:
                threading.Thread(target=kill_after, args=(after,), daemon=True).start()
            else:
                os.kill(os.getpid(), signal.SIGKILL)

    return reached


def kill_after(seconds: float) -> None:
    time.sleep(seconds)
    os.kill(os.getpid(), signal.SIGKILL)


def end_with(server: int) -> None:
    """No run outlives the test that ordered it."""

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    serve()
