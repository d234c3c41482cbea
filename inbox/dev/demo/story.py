"""The demo from start to end: servers, stock, traffic, four consumers, one table."""

import os
import signal
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from inbox.dev.backends import Servers, servers
from inbox.dev.demo.trial import Trial, Truth, Verdict, own_python, run_trial
from inbox.errors import StartupError
from inbox.store.migrations import migrate
from inbox.store.options import DatabaseOptions

EFFECTIVELY_ONCE = "effectively once"
WEAK_GUARANTEES = ("none", "at most once", "at least once")
TOPIC = "order.events"
_SEED = 6  # one whose traffic has both aborted and repeated transactions

_CONFIG = """\
[sink]
name = "inventory"
batch_events = 20          # small, so that a crash finds a transaction under way

[database]
url = "{url}"

[kafka]
"bootstrap.servers" = "{kafka}"
"group.instance.id" = "demo"

[[routes]]
topic = "{topic}"
types = ["OrderCreated"]
event_id = "header:event_id"
event_type = "header:type"
handler = "reserve_stock"
"""


def run_demo(*, keep: bool, out: TextIO, orders: int = 1500) -> int:
    """Run the story; 0 if the sink was exact, 1 if not.

    Raises:
        StartupError: the example package or the servers cannot be had.
        TryAgainError: a consumer did not end in time.
    """
    console = Console(file=out)
    _require_example()
    with (
        servers(progress=console.print) as running,
        tempfile.TemporaryDirectory(prefix="kafka-inbox-demo-") as directory,
    ):
        console.print(f"servers: {running.description}")
        truth = _emit(running, orders, console)
        trials = _trials(running, Path(directory))
        kill_at = [orders * percent // 100 for percent in (15, 35, 55, 75, 90)]
        console.print(
            f"four consumers, each killed with SIGKILL once it has applied {', '.join(map(str, kill_at))} orders"
        )
        verdicts = _run_all(trials, truth, kill_at, console)
        console.print(_table(verdicts))
        console.print(_moral(verdicts))
        if keep:
            _keep(running, Path(directory), console)
    return 0 if verdicts[-1].exact else 1


def _require_example() -> None:
    try:
        import inventory.orders  # noqa: F401 - an optional package
    except ImportError:
        raise StartupError(
            "the demo needs the example package; run `pip install ./examples/inventory` in a checkout, or `make demo`"
        ) from None


def _emit(running: Servers, orders: int, console: Console) -> Truth:
    from inventory.orders import send
    from inventory.tables import FREE_AT_FIRST, SKUS

    ledger = send(running.bootstrap_servers, TOPIC, orders=orders, seed=_SEED, placed=lambda _: None)
    console.print(
        f"order service: {len(ledger.committed)} orders committed, {ledger.aborted} records aborted, "
        f"{ledger.repeated} sent twice"
    )
    quantities = {event_id: order.quantity for event_id, order in ledger.committed.items()}
    return Truth(quantities, stock_at_start=len(SKUS) * FREE_AT_FIRST)


def _trials(running: Servers, directory: Path) -> list[Trial]:
    weak = [_weak_trial(running, guarantee) for guarantee in WEAK_GUARANTEES]
    url = _new_database(running, EFFECTIVELY_ONCE)
    migrate(DatabaseOptions(url=SecretStr(url)))
    config = directory / "inbox.toml"
    config.touch(mode=0o600)
    config.write_text(_CONFIG.format(url=url, kafka=running.bootstrap_servers, topic=TOPIC))
    sink = own_python("inbox", "run", "--until-end", "--config", str(config))
    return [*weak, Trial(EFFECTIVELY_ONCE, sink, _environment(), url)]


def _weak_trial(running: Servers, guarantee: str) -> Trial:
    url = _new_database(running, guarantee)
    command = own_python("inbox.dev.demo.weak", guarantee, running.bootstrap_servers, url, TOPIC)
    return Trial(guarantee, command, _environment(), url)


def _environment() -> Mapping[str, str]:
    """Without the INBOX_ variables of whoever started the demo: its configuration is its own."""
    return {name: value for name, value in os.environ.items() if not name.startswith("INBOX_")}


def _new_database(running: Servers, guarantee: str) -> str:
    """A database of its own for each consumer, with the example's tables and stock."""
    from inventory.tables import create_tables

    name = "demo_" + guarantee.replace(" ", "_")
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlunsplit(urlsplit(running.database_url)._replace(path=f"/{name}"))
    with psycopg.connect(url) as connection:
        create_tables(connection)
    return url


def _run_all(trials: Sequence[Trial], truth: Truth, kill_at: Sequence[int], console: Console) -> list[Verdict]:
    lock = threading.Lock()

    def note(text: str) -> None:
        with lock:
            console.print(text, style="dim")

    with ThreadPoolExecutor(len(trials)) as pool:
        running = [pool.submit(run_trial, trial, truth, kill_at, note) for trial in trials]
        return [each.result() for each in running]


def _table(verdicts: Sequence[Verdict]) -> Table:
    table = Table("guarantee", title="the same events, the same crashes")
    for column in ("killed", "committed", "applied", "lost", "doubled", "stock"):
        table.add_column(column, justify="right")
    for each in verdicts:
        counts = (each.kills, each.committed, each.applied, each.lost, each.doubled)
        table.add_row(each.guarantee, *map(str, counts), "right" if each.stock_right else "wrong")
    return table


def _moral(verdicts: Sequence[Verdict]) -> str:
    if verdicts[-1].exact:
        return (
            "The sink applied every committed order exactly once: its effect, its claim and its offset commit together."
        )
    return "The sink was NOT exact. This is a defect: please report it with the table above."


def _keep(running: Servers, directory: Path, console: Console) -> None:
    config = directory / "inbox.toml"
    console.print("The servers stay up until Ctrl-C. Look around:", soft_wrap=True)
    console.print(f"  inbox status --config {config}", soft_wrap=True)
    console.print(f"  inbox check --config {config}", soft_wrap=True)
    console.print(f"  Kafka: {running.bootstrap_servers}, topic {TOPIC}", soft_wrap=True)
    console.print("  PostgreSQL: the url in that file; databases demo_none, demo_at_most_once, ...", soft_wrap=True)
    with _interrupted() as event:
        event.wait()


@contextmanager
def _interrupted() -> Iterator[threading.Event]:
    event = threading.Event()
    before = {number: signal.signal(number, lambda *_: event.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
