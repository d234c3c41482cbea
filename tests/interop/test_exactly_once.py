"""From database to database through Debezium, with Kafka Connect killed twice: exactly once in effect."""

import json
import random
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from inbox.dev.backends import Servers
from tests.interop.capture import captured_outbox
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sinks import write_configuration
from tests.support.waiting import eventually

EVENTS = 20_000
PARTITIONS = 4
AHEAD = 3_000
ROLLED_BACK_SHARE = 0.1
INSERT = "INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload) VALUES (%s, %s, %s, 'Counted', %s)"
ROUTE = """
[[routes]]
topic = "{topic}"
event_id = "header:event_id"
[routes.table]
name = "public.effects"
mode = "append"
[routes.table.columns]
event_id = "$event_id"
number = "/number"
"""


class Writer(threading.Thread):
    """Commits events in transactions of 1 to 40, rolls some back, and stays at most `AHEAD` before the sink."""

    def __init__(self, url: str, topic: str, applied: Callable[[], int], *, events: int = EVENTS) -> None:
        super().__init__(daemon=True)
        self.committed: dict[UUID, int] = {}
        self._events = events
        self._url, self._topic, self._applied = url, topic, applied
        self._chance = random.Random(8)

    def run(self) -> None:
        with psycopg.connect(self._url) as connection:
            while len(self.committed) < self._events:
                eventually(
                    lambda: len(self.committed) < self._applied() + AHEAD, within=120, what="the sink's progress"
                )
                self._write(connection)

    def _write(self, connection: psycopg.Connection) -> None:
        count = min(self._chance.randint(1, 40), self._events - len(self.committed))
        events = {uuid4(): len(self.committed) + place for place in range(count)}
        rows = [(event_id, self._topic, f"key-{n % 97}", f'{{"number": {n}}}') for event_id, n in events.items()]
        connection.cursor().executemany(INSERT, rows)
        if self._chance.random() < ROLLED_BACK_SHARE:
            connection.rollback()
        else:
            connection.commit()
            self.committed.update(events)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("support", ["disabled", "enabled"])
def test_two_sigkills_of_connect_lose_and_double_nothing(
    servers: Servers, tmp_path: Path, database_url: str, support: str
) -> None:
    topic = create_topic(servers.bootstrap_servers, partitions=PARTITIONS)
    with (
        psycopg.connect(database_url, autocommit=True) as effects,
        captured_outbox(servers.database_url, servers.bootstrap_servers, tmp_path) as outbox,
        outbox.worker(exactly_once_source_support=support) as connect,
    ):
        effects.execute("CREATE TABLE public.effects (event_id uuid, number integer)")
        connect.start()
        connect.run(outbox.name, outbox.connector)
        with sink(tmp_path / "inbox.toml", database_url, servers.bootstrap_servers, topic) as status:
            began = time.monotonic()
            writer = Writer(outbox.url, topic, lambda: applied(effects))
            writer.start()
            for third in (1, 2):
                eventually(lambda: applied(effects) > EVENTS * third // 3, within=120, what="the events before a kill")  # noqa: B023
                connect.kill()
                connect.start()
            eventually(lambda: applied(effects) == EVENTS, within=120, what="the last events")
            seconds = time.monotonic() - began
            told = eventually(lambda: settled(status()), within=30, what="lag 0")
        rows = effects.execute("SELECT event_id, number FROM public.effects").fetchall()

    repeated = told["totals"]["duplicate"]
    print(f"{support}: {EVENTS} events in {seconds:.0f} s over two SIGKILLs; {repeated} came again and were dropped")
    assert len(rows) == EVENTS
    assert dict(rows) == writer.committed
    assert repeated == 0 or support == "disabled"


def applied(effects: psycopg.Connection) -> int:
    """How many events took effect, as another connection sees it; doubled ones would show in the end."""
    row = effects.execute("SELECT count(*) FROM public.effects").fetchone()
    assert row is not None
    return int(row[0])


def settled(status: Mapping[str, Any]) -> Mapping[str, Any] | None:
    return status if all(each["lag"] == 0 for each in status["partitions"]) else None


@contextmanager
def sink(config: Path, url: str, bootstrap_servers: str, topic: str) -> Iterator[Callable[[], Mapping[str, Any]]]:
    """A sink that runs meanwhile; gives what its `inbox status` says."""
    inbox = [sys.executable, "-P", "-m", "inbox"]
    write_configuration(
        config,
        database_url=url,
        bootstrap_servers=bootstrap_servers,
        routes=ROUTE.format(topic=topic),
        name=unique_name("sink"),
    )

    def status() -> Mapping[str, Any]:
        told = subprocess.run([*inbox, "status", "--json", "--config", str(config)], check=True, stdout=subprocess.PIPE)
        return dict(json.loads(told.stdout))

    with running("run", config):
        yield status


@contextmanager
def running(command: str, config: Path) -> Iterator[None]:
    """`inbox run` or `inbox relay` meanwhile, which ends in order."""
    with (config.parent / f"{command}.log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-P", "-m", "inbox", command, "--config", str(config)], stderr=log)
        try:
            yield
        finally:
            process.terminate()
            assert process.wait(30) == 0
