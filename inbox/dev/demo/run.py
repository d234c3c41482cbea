"""The demo from start to end: servers, stock, traffic, four consumers, one table."""

import json
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TextIO

from pydantic import SecretStr

from inbox.dev.backends import servers
from inbox.dev.demo.comparison import judged
from inbox.dev.demo.display import Display
from inbox.dev.demo.inventory_sink import INVENTORY_SINK
from inbox.dev.demo.kill_test import Contestant, KillTest
from inbox.dev.demo.scenario import Stage, Traffic, cleared_away, create_stock, found, require_example, send_orders
from inbox.errors import TryAgainError
from inbox.store.options import DatabaseOptions
from inbox.store.schema.migrate import migrate

WEAK_GUARANTEES = ("none", "at most once", "at least once")
EFFECTIVELY_ONCE = "effectively once"
GUARANTEES = (*WEAK_GUARANTEES, EFFECTIVELY_ONCE)

# The last point leaves room for events that a consumer may have lost by then, or it would be killed less often
# than others.
KILL_AT_PERCENT = (15, 30, 45, 60, 75)

_BOUND_SECONDS = 75.0
_LOOK_EVERY_SECONDS = 0.005


def tell(*, keep: bool, out: TextIO, orders: int) -> int:
    """Run the demo; see `inbox.dev.demo.run_demo`."""
    display = Display(out)
    require_example()
    with interrupted_by_sigterm(), ExitStack() as stack:
        stage = Stage(stack.enter_context(servers(progress=display.say)))
        stack.enter_context(cleared_away(stage, *GUARANTEES))
        display.say(f"servers: {stage.servers.description}")
        traffic = _send(stage, orders, display)
        kill_at = [orders * percent // 100 for percent in KILL_AT_PERCENT]
        trials = [stack.enter_context(closing(KillTest(each, kill_at))) for each in _contestants(stage)]
        points = ", ".join(map(str, kill_at))
        display.say(f"four consumers, each killed with SIGKILL as soon as it has applied {points} different orders")
        _run(trials, orders, display)
        exact = _conclude(trials, traffic, display)
        if keep:
            _keep(stage, trials[-1], display)
    return 0 if exact else 1


def _send(stage: Stage, orders: int, display: Display) -> Traffic:
    with display.bars() as bars:
        task = bars.add_task("order service", total=orders, note="")
        traffic = send_orders(stage, orders, lambda count: bars.update(task, completed=count))
    display.say(
        f"order service: {len(traffic.truth.committed)} orders committed in Kafka transactions; beyond those "
        f"{traffic.aborted} records aborted and {traffic.repeated} sent a second time"
    )
    return traffic


def _contestants(stage: Stage) -> Iterator[Contestant]:
    for guarantee in WEAK_GUARANTEES:
        url = create_stock(stage, guarantee)
        config = {"guarantee": guarantee, "database_url": url, **_where(stage, guarantee)}
        yield Contestant(guarantee, url, ["inbox.dev.demo.baselines", "{config}"], "weak.json", json.dumps(config))
    url = create_stock(stage, EFFECTIVELY_ONCE)
    migrate(DatabaseOptions(url=SecretStr(url)))
    # a TOML basic string and a JSON string are the same for what can stand in a URL or an address
    values = {name: json.dumps(value) for name, value in (_where(stage, EFFECTIVELY_ONCE) | {"url": url}).items()}
    run = ["inbox", "run", "--until-end", "--config", "{config}"]
    yield Contestant(EFFECTIVELY_ONCE, url, run, "inbox.toml", INVENTORY_SINK.format_map(values))


def _where(stage: Stage, guarantee: str) -> dict[str, str]:
    servers, group = stage.servers.bootstrap_servers, stage.group(guarantee)
    return {"bootstrap_servers": servers, "topic": stage.topic, "group": group}


def _run(trials: Sequence[KillTest], orders: int, display: Display) -> None:
    """Run all consumers together, until each has come to the end of the topic."""
    deadline = time.monotonic() + _BOUND_SECONDS
    with display.bars() as bars:
        tasks = {trial.guarantee: bars.add_task(trial.guarantee, total=orders, note="") for trial in trials}
        for trial in trials:
            trial.start()
        while running := [trial for trial in trials if not trial.ended]:
            for trial in running:
                if trial.look() and not display.is_terminal:
                    display.say(f"{trial.guarantee}: killed for the {_NTH[trial.kills]} time at {trial.applied} orders")
                bars.update(tasks[trial.guarantee], completed=trial.applied, note=f"killed {trial.kills}x")
            if time.monotonic() > deadline:
                names = ", ".join(trial.guarantee for trial in running)
                raise TryAgainError(f"not at the end after {_BOUND_SECONDS:g} s: {names}; look at the machine's load")
            time.sleep(_LOOK_EVERY_SECONDS)


_NTH = {1: "1st", 2: "2nd", 3: "3rd", 4: "4th", 5: "5th"}


def _conclude(trials: Sequence[KillTest], traffic: Traffic, display: Display) -> bool:
    verdicts = {trial.guarantee: judged(traffic.truth, found(trial.connection)) for trial in trials}
    exact = verdicts[EFFECTIVELY_ONCE].exact
    display.conclude(trials, verdicts, exact)
    return exact


def _keep(stage: Stage, sink: KillTest, display: Display) -> None:
    display.say("The servers stay up until Ctrl-C. Look around, in another terminal:")
    display.say(f"  inbox status --config {sink.config}")
    display.say(f"  inbox check --config {sink.config}")
    display.say(f"  psql '{stage.url(EFFECTIVELY_ONCE)}' -c 'TABLE stock'")
    display.say(f"  databases: {', '.join(map(stage.database, GUARANTEES))}")
    display.say(f"  Kafka: {stage.servers.bootstrap_servers}, topic {stage.topic}")
    with suppress(KeyboardInterrupt):
        threading.Event().wait()
    display.say("stopping")


@contextmanager
def interrupted_by_sigterm() -> Iterator[None]:
    """Interrupt on SIGTERM as on SIGINT."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
