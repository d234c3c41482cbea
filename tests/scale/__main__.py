"""Joins, leaves and kills under load for MINUTES (5 unless set); exit code 1 if anything was lost, doubled or unowned.

MINUTES=5 python -m tests.scale
"""

import json
import os
import random
import secrets
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import psycopg
from pydantic import SecretStr

from inbox.dev import backends
from inbox.store.options import DatabaseOptions
from inbox.store.schema.migrate import migrate
from tests.e2e import checker
from tests.e2e.crashes import crash_routes
from tests.e2e.effects import TABLES
from tests.e2e.launcher import environment
from tests.faults.pods import Pod
from tests.faults.traffic import Traffic
from tests.scale.owners import Owners
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

PARTITIONS = 12
SIZES = (1, 2, 4)
SESSION_SECONDS = 6.0
OWNED_WITHIN = SESSION_SECONDS + 5.0
CHANGE_EVERY = (4.0, 10.0)
OFFSETS_BEHIND = 8000
SETTLED_WITHIN = 120.0


class Scale:
    """One sink whose number of workers changes, with what happened to them."""

    def __init__(self, bootstrap_servers: str, database_url: str, directory: Path, rng: random.Random) -> None:
        self._bootstrap_servers = bootstrap_servers
        self._database_url = database_url
        self._directory = directory
        self._rng = rng
        self._topic = create_topic(bootstrap_servers, unique_name("scale"), partitions=PARTITIONS)
        self._traffic = Traffic(bootstrap_servers, self._topic, PARTITIONS, rng)
        self._environment = environment(offer_handlers(directory / "packages", {"record": "tests.e2e.effects:record"}))
        self._config = write_configuration(
            directory / "inbox.toml",
            name=self._topic,
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            routes=crash_routes(self._topic),
        )
        self._pods: list[tuple[Pod, ExitStack]] = []
        self._ended: list[Pod] = []
        self.done: Counter[str] = Counter()
        with psycopg.connect(database_url) as connection:
            connection.execute(TABLES)

    def run(self, minutes: float) -> dict[str, object]:
        began = time.monotonic()
        with Owners(self._database_url) as owners:
            try:
                self._resize(2)
                self._traffic.add_chunk()
                eventually(lambda: len(owners.alive()) == PARTITIONS, within=60, what="an owner for each partition")
                owners.begin(PARTITIONS)
                self._go_on(began + 60 * minutes)
                self._await_the_end()
                longest = dict(owners.longest)
            finally:
                self._resize(0)
        log, ends = checker.read_log(self._bootstrap_servers, self._topic)
        findings = checker.compare(log, ends, self._database_url, self._traffic.known(log))
        wrong = [*findings.problems, *(text for pod in self._ended for text in pod.ended_by_itself)]
        wrong += [f"partition {p} had no owner for {s:.1f} s" for p, s in longest.items() if s > OWNED_WITHIN]
        return {
            "seconds": round(time.monotonic() - began),
            "events": findings.records,
            "changes": dict(self.done),
            "lives": sum(pod.lives for pod in self._ended),
            "lost": findings.lost,
            "doubled": findings.doubled,
            "longest_without_owner_seconds": round(max(longest.values()), 1),
            "allowed_seconds": OWNED_WITHIN,
            "wrong": wrong,
        }

    def _go_on(self, until: float) -> None:
        change_at = time.monotonic() + 2
        while time.monotonic() < until:
            if time.monotonic() >= change_at:
                self._change()
                change_at = time.monotonic() + self._rng.uniform(*CHANGE_EVERY)
            if self._behind() <= OFFSETS_BEHIND:
                self._traffic.add_chunk()
            else:
                time.sleep(0.05)

    def _change(self) -> None:
        if self._rng.random() < 0.5:
            pod = self._rng.choice(self._pods)[0]
            pod.kill()
            self.done["killed"] += 1
        else:
            self._resize(self._rng.choice([size for size in SIZES if size != len(self._pods)]))

    def _resize(self, size: int) -> None:
        while len(self._pods) > size:
            pod, stack = self._pods.pop(self._rng.randrange(len(self._pods)))
            stack.close()
            self._ended.append(pod)
            self.done["left"] += 1
        while len(self._pods) < size:
            number = len(self._pods) + len(self._ended)
            stack = ExitStack()
            pod = stack.enter_context(Pod(self._config, self._directory / f"worker-{number}.log", self._environment))
            self._pods.append((pod, stack))
            self.done["joined"] += 1

    def _await_the_end(self) -> None:
        _, ends = checker.read_log(self._bootstrap_servers, self._topic)
        eventually(lambda: self._ledger() == ends, within=SETTLED_WITHIN, what=f"every partition settled up to {ends}")

    def _behind(self) -> int:
        settled = self._ledger()
        return sum(end - settled.get(partition, 0) for partition, end in self._traffic.ends.items())

    def _ledger(self) -> dict[int, int]:
        with psycopg.connect(self._database_url) as connection:
            return dict(connection.execute("SELECT partition, next_offset FROM inbox.partitions").fetchall())


def main() -> int:
    seed = os.environ.get("SCALE_SEED") or secrets.token_hex(4)
    minutes = float(os.environ.get("MINUTES") or 5)
    with backends.servers(progress=lambda text: print(text, file=sys.stderr)) as servers, ExitStack() as stack:
        name = unique_name("scale")
        database_url = create_database(servers.database_url, name)
        stack.callback(drop_database, servers.database_url, name)
        migrate(DatabaseOptions(url=SecretStr(database_url)))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="inbox-scale-")))
        scale = Scale(servers.bootstrap_servers, database_url, directory, random.Random(seed))
        outcome = {"seed": seed, **scale.run(minutes)}
    print(json.dumps(outcome, indent=2))
    return 1 if outcome["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
