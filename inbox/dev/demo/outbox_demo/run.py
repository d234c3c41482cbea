"""The outbox demo from start to end: servers, three parts, customers, kills, one table."""

import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing, suppress
from typing import TextIO

from rich.table import Table

from inbox.dev.backends import servers
from inbox.dev.demo.display import Display
from inbox.dev.demo.outbox_demo.databases import (
    IN_OUTBOX,
    IN_SERVICE,
    INVENTORY,
    ORDERS,
    RESERVED,
    DemoDatabases,
    prepared,
    require_examples,
)
from inbox.dev.demo.outbox_demo.reconciliation import HeldOrders, held_orders
from inbox.dev.demo.outbox_demo.services import Service, Services, answers_of
from inbox.dev.demo.program import Program
from inbox.dev.demo.run import interrupted_by_sigterm
from inbox.dev.demo.scenario import Stage, cleared_away
from inbox.errors import TryAgainError

KILL_AT_PERCENT = (25, 50, 75)

_BOUND_SECONDS = 150.0
_LOOK_EVERY_SECONDS = 0.01
_NTH = ("1st", "2nd", "3rd")

_AGREE = "Every order that was placed is in stock exactly once; none that was refused left a trace."
_DISAGREE = "The parts do NOT agree. This is a defect: please report it with the table above."


def tell(*, keep: bool, out: TextIO, orders: int, kill_at_percent: Sequence[int] = KILL_AT_PERCENT) -> int:
    """Run the demo; see `inbox.dev.demo.run_outbox_demo`."""
    display = Display(out)
    require_examples()
    with interrupted_by_sigterm(), ExitStack() as stack:
        stage = Stage(stack.enter_context(servers(progress=display.say)))
        stack.enter_context(cleared_away(stage, ORDERS, INVENTORY))
        display.say(f"servers: {stage.servers.description}")
        ground = prepared(stage)
        chain, kill_at = Services(ground), [orders * percent // 100 for percent in kill_at_percent]
        parts = [stack.enter_context(closing(Service(role, kill_at))) for role in chain.roles()]
        customers = stack.enter_context(closing(chain.customers(orders)))
        points = ", ".join(map(str, kill_at))
        display.say(
            f"{orders} orders over HTTP; each part is killed with SIGKILL as soon as {points} orders are through it"
        )
        _run(parts, customers, orders, display)
        answers = answers_of(customers)
        display.say(
            f"customers: {len(answers['placed'])} orders placed, {len(answers['refused'])} refused by the credit of "
            f"their customer, {answers['repeated']} requests sent again, since no answer came"
        )
        agreed = _conclude(parts, {wish["order_id"]: wish["quantity"] for wish in answers["placed"]}, ground, display)
        if keep:
            _keep(ground, display)
    return 0 if agreed else 1


def _run(parts: Sequence[Service], customers: Program, orders: int, display: Display) -> None:
    """Run until the customers have their answers and the last part has what the first one placed."""
    deadline = time.monotonic() + _BOUND_SECONDS
    with display.bars() as bars:
        tasks = {part.name: bars.add_task(part.name, total=orders, note="") for part in parts}
        ended = False
        while not (ended and all(part.spared and part.done == parts[0].done for part in parts)):
            ended = customers.exit_code is not None
            for part in parts:
                if part.look() and not display.is_terminal:
                    display.say(f"{part.name}: killed for the {_NTH[part.kills - 1]} time at {part.done} orders")
                bars.update(tasks[part.name], completed=part.done, note=f"killed {part.kills}x")
            if time.monotonic() > deadline:
                reached = ", ".join(f"{part.name} {part.done}" for part in parts)
                raise TryAgainError(f"not through after {_BOUND_SECONDS:g} s: {reached}; look at the machine's load")
            time.sleep(_LOOK_EVERY_SECONDS)


def _conclude(parts: Sequence[Service], placed: Mapping[str, int], ground: DemoDatabases, display: Display) -> bool:
    held = {
        "order service": held_orders(placed, ground.lines(ground.orders_url, IN_SERVICE)),
        "outbox": held_orders(placed, ground.lines(ground.orders_url, IN_OUTBOX)),
        "relay: the topic": held_orders(placed, ground.records()),
        "sink: reservations": held_orders(placed, ground.lines(ground.inventory_url, RESERVED)),
    }
    taken = ground.taken_from_stock()
    kills = {part.name: part.kills for part in parts}
    display.show(_table(held, taken, kills))
    # the relay sends events again after a crash under the same ids, and the sink drops them
    agreed = all(each.exact or (name == "relay: the topic" and each.whole) for name, each in held.items())
    agreed = agreed and taken == sum(placed.values())
    display.say(_AGREE if agreed else _DISAGREE)
    return agreed


def _table(held: Mapping[str, HeldOrders], taken: int, kills: Mapping[str, int]) -> Table:
    result = Table("where", title="the same orders in every place")
    for column in ("killed", "orders", "lost", "doubled", "foreign", "pieces"):
        result.add_column(column, justify="right")
    for name, each in held.items():
        killed = str(kills.get(name.partition(":")[0], ""))
        counts = (each.orders, each.lost, each.doubled, each.foreign, each.pieces)
        result.add_row(name, killed, *map(str, counts))
    result.add_row("stock", "", "", "", "", "", str(taken))
    return result


def _keep(ground: DemoDatabases, display: Display) -> None:
    display.say("The parts and the servers stay up until Ctrl-C. Look around, in another terminal:")
    display.say(f"  psql '{ground.orders_url}' -c 'TABLE inbox.outbox_status LIMIT 5'")
    display.say(f"  psql '{ground.inventory_url}' -c 'TABLE stock'")
    display.say(f"  Kafka: {ground.stage.servers.bootstrap_servers}, topic {ground.stage.topic}")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    display.say("stopping")
