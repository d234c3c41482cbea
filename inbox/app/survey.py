"""What a running sink tells of its database that no batch tells, looked at now and then on a connection of its own."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

from inbox.errors import InboxError
from inbox.store.database import connect, snapshot
from inbox.store.dead_letters import DeadLetters, State
from inbox.store.options import DatabaseOptions
from inbox.telemetry import DEAD_LETTERS

_EVERY_SECONDS = 15.0
_OPEN = (State.PARKED, State.WAITING)


@contextmanager
def surveying(options: DatabaseOptions, *, every_seconds: float = _EVERY_SECONDS) -> Iterator[None]:
    """As long as it is entered a thread keeps the gauges of the database up to date."""
    over = threading.Event()

    def go_on() -> None:
        while True:
            # An outage is the worker's to tell, which meets it too.
            with suppress(InboxError):
                survey(options)
            if over.wait(every_seconds):
                return

    thread = threading.Thread(target=go_on, name="inbox-survey", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()  # not waited for: it may be in a question to a server that does not answer


def survey(options: DatabaseOptions) -> None:
    """Look once.

    Raises:
        InboxError: the database does not answer, or refuses to.
    """
    with closing(connect(options, application_name="inbox survey")) as connection, snapshot(connection):
        found = DeadLetters(options.schema).count_by_state(connection)
    for state in _OPEN:
        DEAD_LETTERS.labels(state.value).set(found.get(state, 0))
