"""`inbox demo`: the same traffic and the same crashes for four delivery guarantees; with `--outbox` the whole way."""

from typing import TextIO


def run_demo(*, keep: bool, out: TextIO, orders: int = 1500) -> int:
    """Run the story; returns 0 if the sink was exact, 1 if not. Call it from the main thread.

    With `keep` the servers stay up afterwards, until SIGINT or SIGTERM.

    Raises:
        StartupError: the example package or the servers cannot be had.
        TryAgainError: a consumer failed, or did not end in time.
        KeyboardInterrupt: on SIGINT or SIGTERM; nothing is left behind then either.
    """
    # a weak consumer is a module of this package, and is started often: it must not pay for what it does not use
    from inbox.dev.demo.run import tell

    return tell(keep=keep, out=out, orders=orders)


def run_outbox_demo(*, keep: bool, out: TextIO, orders: int = 1500) -> int:
    """From the order service's database through outbox, relay, Kafka and sink into the inventory's, with kills of each.

    Returns 0 if orders, events and stock agree, 1 if not. Otherwise as `run_demo`.
    """
    from inbox.dev.demo.outbox_demo.run import tell

    return tell(keep=keep, out=out, orders=orders)


__all__ = ["run_demo", "run_outbox_demo"]
