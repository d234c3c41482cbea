"""Run the `inbox` command in forks of one process, which imports it once.

On stdin one order a line, as JSON: {"arguments": [...], "log": FILE, "kill": null or {"at": FAILPOINT,
"hit": N}, "connections": FILE or null}. On stdout the exit code of each run; -9 is a run that was killed.
Production code arms no failpoint; this module does.
"""

import faulthandler
import gc
import itertools
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

# The program imports these when it is asked for the command.
import inbox.cli.commands.audit
import inbox.cli.commands.migrate
import inbox.cli.commands.replay
import inbox.cli.commands.run
import inbox.cli.run_worker
import inbox.operations.migrate  # noqa: F401
from inbox import failpoints
from inbox.cli import main as inbox_command
from inbox.testing.connections import note_connections_of_handlers


def serve() -> None:
    """Answer the orders on stdin until it ends."""
    gc.freeze()  # a fork whose garbage collector looked at all modules would copy their pages
    for line in sys.stdin:
        order = json.loads(line)
        server = os.getpid()
        pid = os.fork()
        if pid == 0:
            _run(order, server)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)  # noqa: T201 - the answer


def _run(order: dict[str, Any], server: int) -> None:
    """Become the command, in the child; never return."""
    prepare_child(order["log"], server)
    if order["kill"] is not None:
        failpoints.arm(_killer(**order["kill"]))
    if order["connections"] is not None:
        note_connections_of_handlers(order["connections"])
    os.environ.update(order["environment"])
    sys.path[:0] = order["path"]
    become_command(order["arguments"])


def prepare_child(log: str, server: int) -> None:
    """Send the output of this forked process to the log, and end the process with the one that ordered it."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(source, target)
    faulthandler.enable()  # a run that hangs is ended by SIGABRT
    _end_with(server)


def become_command(arguments: Sequence[str]) -> NoReturn:
    """Run `inbox` with the arguments, and exit with its code."""
    sys.argv = ["inbox", *arguments]
    code: object = 1
    try:
        inbox_command()
    except SystemExit as end:
        code = end.code
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code if isinstance(code, int) else int(code is not None))


def _killer(at: str, hit: int) -> Callable[[failpoints.Failpoint], None]:
    """Return an action that kills this process the `hit`-th time that the failpoint is reached."""
    hits = itertools.count(1)

    def reached(point: failpoints.Failpoint) -> None:
        if point == at and next(hits) == hit:
            os.kill(os.getpid(), signal.SIGKILL)

    return reached


def _end_with(server: int) -> None:
    """End this run when the process that ordered it is gone."""

    def watch() -> None:
        while os.getppid() == server:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    serve()
