"""The pruning in the background: a sink prunes everything, a relay its outbox, one at a time for a schema."""

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from datetime import timedelta

from inbox.errors import InboxError
from inbox.log_lines import log
from inbox.operations.retention.prune import Pruner, forget_all
from inbox.settings import RetentionLimits
from inbox.store.locks.prune import AnotherPrunesError, pruning_alone
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.outbox.retention import outbox_retention
from inbox.store.postgres.connection import Connection, connect
from inbox.store.postgres.session_settings import UNHURRIED
from inbox.store.store import Store

_LONGEST_SECONDS, _SHORTEST_SECONDS = 600.0, 1.0
_LONG_SECONDS = 600.0
"""A time longer than a round takes. A process that prunes for longer is logged."""
_NAME = "inbox prune"


@contextmanager
def pruning(database: DatabaseOptions, limits: RetentionLimits, outbox: OutboxOptions | None = None) -> Iterator[None]:
    """Prune everything on a thread while the context is entered, unless another worker prunes.

    The outbox is pruned too if this role may prune it.
    """
    shortest = min(limits.claims, limits.outbox or limits.claims)

    def round_(connection: Connection, over: threading.Event) -> None:
        ours = outbox if outbox is not None and outbox.existing is None else None
        if ours is not None and not outbox_retention(connection, database.schema, ours).may_forget():
            ours = None  # its relay may prune it, and does
        Pruner(Store(connection, database.schema), limits, outbox=ours, over=over).round()

    with in_the_background(database, shortest, round_):
        yield


@contextmanager
def in_the_background(
    database: DatabaseOptions, retention: timedelta, round_: Callable[[Connection, threading.Event], None]
) -> Iterator[None]:
    """Run `round_` on a thread at intervals while the context is entered.

    A round must end soon after its event is set.
    """
    over = threading.Event()
    every_seconds = min(_LONGEST_SECONDS, max(_SHORTEST_SECONDS, retention.total_seconds() / 100))

    def go_on() -> None:
        while not over.wait(every_seconds):
            try:
                with closing(connect(database, application_name=_NAME, settings=UNHURRIED)) as connection:
                    round_(connection, over)
            except AnotherPrunesError as error:
                if error.seconds > _LONG_SECONDS:
                    log().warning("prune-blocked", holder=str(error.holder), seconds=round(error.seconds))
            except InboxError as error:
                log().info("prune-postponed", reason=str(error))

    thread = threading.Thread(target=go_on, name="inbox-prune", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()  # no join: the thread may be waiting for a server that does not answer


def pruning_outbox(
    database: DatabaseOptions, limits: RetentionLimits, outbox: OutboxOptions
) -> AbstractContextManager[None]:
    """Prune the outbox on a thread while the context is entered, if it has a retention."""
    older_than = limits.outbox
    if older_than is None:
        return nullcontext()

    def round_(connection: Connection, over: threading.Event) -> None:
        retention = outbox_retention(connection, database.schema, outbox)
        own_table = "outbox_relay" if outbox.existing is None else "relay_leases"
        with pruning_alone(connection, database.schema, own_table):
            if gone := forget_all(retention.forget, older_than, over):
                log().info("pruned", outbox=gone)

    return in_the_background(database, older_than, round_)
