"""The exit codes, in one place. docs/reference/exit-codes.md says the same to users."""

import signal

from inbox.errors import HaltError, InboxError, StartupError

DONE = 0
FAILURE = 1
USAGE = 2
STARTUP = 3
HALT = 4
INTERRUPTED = 128 + signal.SIGINT


def exit_code(error: InboxError) -> int:
    """Return the exit code for an error of this project. Wrong usage is 2, which is click's."""
    match error:
        case StartupError():
            return STARTUP
        case HaltError():
            return HALT
        case _:
            return FAILURE
