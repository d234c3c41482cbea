"""What many poison events cost: pairs of runs without and with them, for each way in which an event can be poison.

Every run is checked: all poison is parked, every other event is applied. The bound is a third of the rate without.
"""

import argparse
import json
import os
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from inbox.dev.backends import Servers, servers
from tests.benchmarks.orders import PARTITIONS, TABLE
from tests.benchmarks.throughput import TABLE_ROUTE, Run, fill, measure, value
from tests.support.kafka_topics import create_topic
from tests.support.sinks import offer_handlers

CHECKED = TABLE + "ALTER TABLE orders ADD CHECK (quantity >= 0);"

ORDER = json.loads(value(0))
NEGATIVE = json.dumps({**ORDER, "order_id": -1, "quantity": -1}).encode()


def handler(name: str) -> str:
    return f'handler = "{name}"'


@dataclass(frozen=True)
class Kind:
    """One way in which an event can be poison."""

    poison: bytes
    table: str
    target: str


REFUSING_TRIGGER = (
    TABLE
    + """
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN IF NEW.quantity < 0 THEN RAISE 'refused'; END IF; RETURN NEW; END $$;
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON orders FOR EACH ROW EXECUTE FUNCTION refuse();
"""
)

KINDS = {
    "table: no value of the column's type": Kind(
        json.dumps({**ORDER, "order_id": -1, "amount": "ten"}).encode(), TABLE, TABLE_ROUTE
    ),
    "table: violates a CHECK": Kind(NEGATIVE, CHECKED, TABLE_ROUTE),
    "table: refused by a trigger": Kind(NEGATIVE, REFUSING_TRIGGER, TABLE_ROUTE),
    "handler: raises EventError": Kind(NEGATIVE, TABLE, handler("refuse")),
    "handler: its statement violates a CHECK": Kind(NEGATIVE, CHECKED, handler("insert")),
    "handler: raises an exception of its own": Kind(NEGATIVE, TABLE, handler("crash")),
}


@contextmanager
def handlers_installed() -> Iterator[None]:
    """The worker's process finds the handlers as those of an installed package."""
    before = os.environ.get("PYTHONPATH", "")
    with tempfile.TemporaryDirectory() as directory:
        module = "tests.benchmarks.poison_handlers"
        offer_handlers(Path(directory), {name: f"{module}:{name}" for name in ("insert", "refuse", "crash")})
        os.environ["PYTHONPATH"] = os.pathsep.join([directory, str(Path.cwd()), before])
        try:
            yield
        finally:
            os.environ["PYTHONPATH"] = before


class Topics:
    """One topic for each set of events, filled when it is first asked for."""

    def __init__(self, running: Servers, events: int) -> None:
        self._running = running
        self._events = events
        self._names: dict[tuple[bytes, int], str] = {}

    def of(self, poison: bytes, count: int) -> str:
        key = (poison if count else b"", count)
        if key not in self._names:
            self._names[key] = create_topic(self._running.bootstrap_servers, partitions=PARTITIONS)
            fill(self._running.bootstrap_servers, self._names[key], self._events, count, poison)
        return self._names[key]


def compare(running: Servers, topics: Topics, kind: Kind, events: int, poison: int) -> tuple[Run, Run]:
    clean, poisoned = (
        measure(running, topics.of(kind.poison, count), events, count, table=kind.table, target=kind.target)
        for count in (0, poison)
    )
    return clean, poisoned


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--poison", type=int, default=1_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="only the kinds whose name contains this")
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    report = {}
    with servers(progress=print) as running, handlers_installed():
        print(f"{running.description}, {os.cpu_count()} cores, {arguments.poison:,} among {arguments.events:,}")
        topics = Topics(running, arguments.events)
        for name in (name for name in KINDS if arguments.only in name):
            runs = [
                compare(running, topics, KINDS[name], arguments.events, arguments.poison)
                for _ in range(arguments.rounds)
            ]
            report[name] = [(asdict(clean), asdict(poisoned)) for clean, poisoned in runs]
            _print(name, runs)
    if arguments.output:
        arguments.output.write_text(json.dumps(report, indent=2) + "\n")


def _print(name: str, runs: list[tuple[Run, Run]]) -> None:
    without = statistics.median(clean.events_per_second for clean, _ in runs)
    with_poison = statistics.median(poisoned.events_per_second for _, poisoned in runs)
    ratio = statistics.median(clean.seconds / poisoned.seconds for clean, poisoned in runs)
    print(f"{name:42} {without:8,.0f} -> {with_poison:8,.0f} events/s, {ratio:.2f} of the rate without", flush=True)


if __name__ == "__main__":
    main()
