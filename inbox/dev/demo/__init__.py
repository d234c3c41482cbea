"""The command `inbox demo`: the same traffic and the same crashes for four delivery guarantees.

With `--outbox` the traffic takes the whole way, from the order service's database to the inventory's.
"""

from typing import TextIO


def run_demo(*, keep: bool, out: TextIO, orders: int = 1500) -> int:
    """Run the demo; return 0 if the sink was exact, 1 if not. Call it from the main thread.

    With `keep` the servers stay up afterwards, until SIGINT or SIGTERM.

    Raises:
        StartupError: the example package or the servers cannot be had.
        TryAgainError: a consumer failed, or did not end in time.
        KeyboardInterrupt: on SIGINT or SIGTERM; nothing is left behind then either.
    """
    # a baseline consumer is a module of this package and is started often, so it must load no more than
    # it uses
    from inbox.dev.demo.run import tell

    return tell(keep=keep, out=out, orders=orders)


def run_outbox_demo(*, keep: bool, out: TextIO, orders: int = 1500) -> int:
    """Run the way from the order service's database to the inventory's, through outbox, relay, Kafka and sink.

    The order service, the relay and the sink are each killed on the way. Returns 0 if orders, events and stock
    agree, 1 if not. Everything else is as in `run_demo`.
    """
    from inbox.dev.demo.outbox_demo.run import tell

    return tell(keep=keep, out=out, orders=orders)


__all__ = ["run_demo", "run_outbox_demo"]
