"""Orders by concurrent writers, relays that are killed, brokers that are restarted; and what is in Kafka in the end."""

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psycopg
from confluent_kafka import Message

from inbox import outbox
from tests.e2e.launcher import environment
from tests.integration.relay.conftest import read_all
from tests.support.waiting import eventually

WRITERS, AGGREGATES, PARTITIONS = 8, 400, 6
TABLES = """
CREATE TABLE aggregates (aggregate integer PRIMARY KEY, orders integer NOT NULL DEFAULT 0);
INSERT INTO aggregates SELECT generate_series(0, {aggregates} - 1);
CREATE TABLE effects (event_id uuid NOT NULL, aggregate integer, number integer);
"""
CONFIGURATION = """
[sink]
name = "{topic}"
[database]
url = "{url}"
[kafka]
"bootstrap.servers" = "{servers}"
"reconnect.backoff.max.ms" = 500
[outbox]
transactional_id = "{topic}"
[[routes]]
topic = "{topic}"
event_id = "header:event_id"
[routes.table]
name = "public.effects"
mode = "append"
[routes.table.columns]
event_id = "$event_id"
aggregate = "/aggregate"
number = "/number"
"""


@dataclass(frozen=True)
class Amount:
    """How much of everything."""

    orders: int
    kills: int
    restarts: int


@dataclass
class Findings:
    """What is wrong, in words; nothing is as it should be. Besides, how often what happened."""

    wrong: list[str] = field(default_factory=list)
    happened: Counter[str] = field(default_factory=Counter)


class OutboxTrial:
    """One outbox, two relays, a sink at the end. Writers continue, more slowly, as long as harm is done."""

    def __init__(
        self, directory: Path, *, url: str, servers: str, topic: str, transactional: bool, restart: Callable[[], None]
    ) -> None:
        self._url = url
        self._servers = servers
        self._topic = topic
        self._restart = restart
        self._log = directory / f"{topic}.log"
        self._config = directory / f"{topic}.toml"
        self._config.write_text(CONFIGURATION.format(topic=topic, url=url, servers=servers))
        self._mode = ["--transactional"] if transactional else []
        self._happened: Counter[str] = Counter()
        self._calm = threading.Event()
        self._raised: list[BaseException] = []
        with psycopg.connect(url) as connection:
            connection.execute(TABLES.format(aggregates=AGGREGATES).encode())

    def run(self, amount: Amount, *, seed: int, within: float) -> Findings:
        rng = random.Random(seed)
        share = amount.orders // WRITERS
        writers = [
            threading.Thread(target=self._write, args=(share, random.Random(rng.random())), daemon=True)
            for _ in range(WRITERS)
        ]
        relays = [self._start_relay(), self._start_relay()]
        try:
            for writer in writers:
                writer.start()
            self._harm(relays, amount, rng)
            self._calm.set()
            for writer in writers:
                writer.join()
            eventually(lambda: self._unsent() == 0, within=within, what=f"an outbox that is sent; {self._log}")
        finally:
            self._calm.set()
            for relay in relays:
                relay.kill()
                relay.wait()
        assert not self._raised, self._raised
        subprocess.run(self._command("run", "--until-end"), env=environment(), check=True, timeout=within)
        return self._judge()

    def _write(self, orders: int, rng: random.Random) -> None:
        try:
            with psycopg.connect(self._url) as connection:
                while orders > 0 or not self._calm.wait(0.05):
                    count = max(1, min(orders, rng.choice([1, 1, 2, 5, 40])))
                    orders -= self._transact(connection, count, rng)
        except BaseException as error:  # noqa: BLE001 - raised by `run`
            self._raised.append(error)

    def _transact(self, connection: psycopg.Connection[tuple[object, ...]], count: int, rng: random.Random) -> int:
        """Some orders in one transaction, each of which locks its aggregate; how many were committed."""
        pause = rng.choice([0.0, 0.0, 0.0, 0.0, 0.002, 0.02]) if count > 1 else rng.choice([0.0, 0.0, 0.3])
        for aggregate in sorted(rng.sample(range(AGGREGATES), count)):
            row = connection.execute(
                "UPDATE aggregates SET orders = orders + 1 WHERE aggregate = %s RETURNING orders", (aggregate,)
            ).fetchone()
            assert row
            payload = {"aggregate": aggregate, "number": row[0]}
            outbox.publish(connection, topic=self._topic, key=str(aggregate), type="Placed", payload=payload)
            if rng.random() < 0.2:
                time.sleep(pause)
        if rng.random() < 0.07:
            connection.rollback()
            self._happened["rolled back"] += count
            return 0
        connection.commit()
        return count

    def _harm(self, relays: list["subprocess.Popen[bytes]"], amount: Amount, rng: random.Random) -> None:
        """Kills, most of them of the active relay, and restarts of the brokers, evenly among them."""
        every = max(1, amount.kills // max(1, amount.restarts))
        for number in range(amount.kills):
            time.sleep(rng.uniform(0.2, 1.0))
            if amount.restarts and number % every == every // 2 and self._happened["restarts"] < amount.restarts:
                self._restart()
                self._happened["restarts"] += 1
            victim = self._active(relays) if rng.random() < 0.8 else rng.randrange(2)
            relays[victim].kill()
            relays[victim].wait()
            self._happened["kills"] += 1
            relays[victim] = self._start_relay()

    def _active(self, relays: Sequence["subprocess.Popen[bytes]"]) -> int:
        """The place of the relay that holds the lease, once one of them does."""

        def holder() -> list[int]:
            with psycopg.connect(self._url) as connection:
                row = connection.execute("SELECT split_part(holder, ':', 2)::int FROM inbox.outbox_relay").fetchone()
            return [place for place, relay in enumerate(relays) if row and relay.pid == row[0]]

        return eventually(holder, what=f"an active relay; {self._log}")[0]

    def _start_relay(self) -> "subprocess.Popen[bytes]":
        with self._log.open("ab") as log:
            return subprocess.Popen(self._command("relay", *self._mode), env=environment(), stdout=log, stderr=log)

    def _command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-P", "-m", "inbox", *arguments, "--config", str(self._config)]

    def _unsent(self) -> int:
        return len(self._rows("SELECT 1 FROM inbox.outbox_status WHERE status = 'NEW' LIMIT 1"))

    def _rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self._url) as connection:
            return connection.execute(query.encode()).fetchall()

    def _judge(self) -> Findings:
        published = {row[0] for row in self._rows("SELECT event_id FROM inbox.outbox")}
        records = read_all(self._servers, self._topic, **{"isolation.level": "read_committed"})
        firsts: dict[UUID, Message] = {}
        for record in records:
            firsts.setdefault(UUID((dict(record.headers() or [])["event_id"] or b"").decode()), record)
        found = Findings(happened=self._happened)
        found.happened.update(orders=len(published), records=len(records), repeated=len(records) - len(firsts))
        self._compare(found, "in Kafka", Counter(firsts.keys()), published)
        effects = Counter(row[0] for row in self._rows("SELECT event_id FROM effects"))
        self._compare(found, "among the effects", effects, published)
        found.wrong += _out_of_order(firsts.values())
        return found

    def _compare(self, found: Findings, where: str, there: Counter[object], published: set[object]) -> None:
        if missing := published - there.keys():
            found.wrong.append(f"{len(missing)} events are not {where}")
        if alien := there.keys() - published:
            found.wrong.append(f"{len(alien)} events {where} were rolled back")
        if double := [each for each, count in there.items() if count > 1]:
            found.wrong.append(f"{len(double)} events are more than once {where}")


def _out_of_order(records: Iterable[Message]) -> list[str]:
    numbers: dict[int, list[int]] = defaultdict(list)
    for record in records:
        event = json.loads(record.value() or b"")
        numbers[event["aggregate"]].append(event["number"])
    return [
        f"aggregate {aggregate} is out of order: {seen[:20]}"
        for aggregate, seen in numbers.items()
        if seen != list(range(1, len(seen) + 1))
    ]
