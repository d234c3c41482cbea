"""Runs the `inbox` command in processes that kill themselves at a failpoint.

A fork server: what `inbox run` needs is imported once, before any thread or connection exists, and each run is a fork
of that, so that a start costs no import. Production code knows nothing of this; here is where its failpoints are armed.

On stdin one order a line, as JSON: {"arguments": [...], "log": FILE, "kill": null}, or for one that kills itself
{..., "kill": {"at": FAILPOINT, "hit": N, "after": SECONDS}}. On stdout, for each, the process id, and when it ended its
exit code (-9: killed).
"""

import gc
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from inbox import failpoints
from inbox.testing.fork_server import become_command, prepare_child


def serve() -> None:
    gc.freeze()  # a fork whose garbage collector looked at all modules would copy their pages
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
    prepare_child(order["log"], server)
    if order["kill"] is not None:
        failpoints.arm(killer(**order["kill"]))
    become_command(order["arguments"])


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


if __name__ == "__main__":
    serve()
