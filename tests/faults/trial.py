"""One sink of three workers under faults and traffic, and what an independent checker finds of it afterwards."""

import json
import os
import random
import secrets
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.e2e import checker
from tests.e2e.checker import Findings
from tests.e2e.effects import TABLES
from tests.e2e.launcher import environment
from tests.faults.formats import FORMATS, FormattedTraffic, routes
from tests.faults.injection import Injection
from tests.faults.plan import Fault, Kind, plan
from tests.faults.pods import Pod
from tests.faults.servers import KillableServers
from tests.support.asking import ASKER
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

EVENTS = int(os.environ.get("FAULTS_EVENTS", "120000"))
MINUTES = float(os.environ.get("FAULTS_MINUTES", "0"))
SEED = os.environ.get("FAULTS_SEED") or secrets.token_hex(4)

WORKERS = 3
PARTITIONS_EACH = 2
"""The partitions of the topic of each format."""
EVENTS_A_FAULT = 1000
FAULTS_AT_ONCE = 6
OFFSETS_BEHIND = 4000
"""Traffic keeps that close to the sink, or most of it would be settled after the last fault."""
CAUGHT_UP_WITHIN = 300.0
SETTLED_WITHIN = 300.0


@dataclass
class Outcome:
    """What a trial came to. `by_hand`: why a worker ended otherwise than it was told to."""

    seed: str
    seconds: float
    transactions: int
    aborted: int
    faults: Counter[Kind]
    not_injected: list[str]
    by_hand: list[str]
    lives: int
    findings: Findings

    def figures(self) -> dict[str, object]:
        """What a report shows."""
        found = self.findings
        return {
            "seed": self.seed,
            "seconds": round(self.seconds),
            "events": found.records,
            "transactions": self.transactions,
            "aborted transactions": self.aborted,
            "applied": found.applied,
            "faults": sum(self.faults.values()),
            "kinds of faults": len(self.faults),
            "lives of workers": self.lives,
            "lost": found.lost,
            "doubled": found.doubled,
            "out of order within a key": found.disordered,
            "wrongly parked": found.wrongly_parked,
            "not parked": found.not_parked,
            "restarts by hand": len(self.by_hand),
        }

    def wrong(self) -> list[str]:
        return [*self.findings.problems, *self.by_hand, *self.not_injected]


class Trial:
    """Everything of one trial is in `directory`: configuration, the workers' logs, a journal of the faults."""

    def __init__(self, servers: KillableServers, database_url: str, directory: Path, seed: str) -> None:
        self._servers = servers
        self._database_url = database_url
        self._directory = directory
        self._seed = seed
        topics = [
            create_topic(servers.bootstrap_servers, unique_name(f"trial-{each}"), partitions=PARTITIONS_EACH)
            for each in FORMATS
        ]
        packages = offer_handlers(directory / "packages", {"record": "tests.e2e.effects:record"})
        self._environment = environment(packages)
        self._config = write_configuration(
            directory / "inbox.toml",
            name="trial",
            database_url=servers.proxied(database_url),
            bootstrap_servers=servers.proxied_bootstrap_servers,
            routes=routes(topics, directory),
            kafka='"heartbeat.interval.ms" = 500\n"topic.metadata.refresh.interval.ms" = 2000',
        )
        self._traffic = FormattedTraffic(servers.bootstrap_servers, topics, PARTITIONS_EACH, random.Random(seed))
        with psycopg.connect(database_url) as connection:
            connection.execute(TABLES)

    def run(self) -> Outcome:
        began = time.monotonic()
        pods = [self._pod(f"worker-{number}") for number in range(WORKERS)]
        injection = Injection(
            self._servers, self._database_url, pods, lambda: self._pod("further"), self._directory / "faults.log"
        )
        with ExitStack() as stack:
            for pod in pods:
                stack.enter_context(pod)
            self._send_under_faults(injection)
            self._await_the_end(pods)
        log, ends = checker.read_logs(self._servers.bootstrap_servers, self._traffic.bases)
        findings = checker.compare(
            log,
            ends,
            self._database_url,
            self._traffic.known(log),
            payload=self._traffic.payload,
            bases=self._traffic.bases,
        )
        return Outcome(
            seed=self._seed,
            seconds=time.monotonic() - began,
            transactions=self._traffic.transactions,
            aborted=self._traffic.aborted,
            faults=injection.done,
            not_injected=[f"not injected: {text}" for text in injection.failed],
            by_hand=[text for pod in pods for text in pod.ended_by_itself],
            lives=sum(pod.lives for pod in pods),
            findings=findings,
        )

    def _pod(self, name: str) -> Pod:
        return Pod(self._config, self._directory / f"{name}.log", self._environment)

    def _send_under_faults(self, injection: Injection) -> None:
        """Traffic continues until the last fault is over, for some wait for a COMMIT."""
        began, faults = time.monotonic(), plan(self._seed, workers=WORKERS, every=EVENTS_A_FAULT)
        upcoming = next(faults)
        while self._sent < EVENTS or time.monotonic() - began < 60 * MINUTES:
            upcoming = self._submit_due(injection, upcoming, faults)
            self._traffic.add_chunk()
            eventually(
                lambda: injection.waiting <= FAULTS_AT_ONCE and self._behind() <= OFFSETS_BEHIND,
                within=CAUGHT_UP_WITHIN,
                what=f"the end of some faults, and {OFFSETS_BEHIND} offsets to go at most",
            )
        while injection.waiting:
            self._traffic.add_chunk()
        injection.finish()

    @property
    def _sent(self) -> int:
        return len(self._traffic.committed)

    def _submit_due(self, injection: Injection, upcoming: Fault, faults: Iterator[Fault]) -> Fault:
        while upcoming.at <= self._sent:
            injection.submit(upcoming)
            upcoming = next(faults)
        return upcoming

    def _await_the_end(self, pods: list[Pod]) -> None:
        _, ends = checker.read_logs(self._servers.bootstrap_servers, self._traffic.bases)
        eventually(
            lambda: self._ledger() == ends or any(pod.ended_by_itself for pod in pods),
            within=SETTLED_WITHIN,
            what=f"every partition settled up to its end; the log ends at {ends}",
        )

    def _behind(self) -> float:
        """How many offsets the sink has to go; infinite while the database does not say."""
        try:
            settled = self._ledger()
        except psycopg.OperationalError:
            return float("inf")
        return sum(end - settled.get(partition, 0) for partition, end in self._traffic.ends.items())

    def _ledger(self) -> dict[int, int]:
        ledger = ASKER.rows(self._database_url, "SELECT topic, partition, next_offset FROM inbox.partitions")
        return {self._traffic.bases[topic] + partition: following for topic, partition, following in ledger}


def described(outcome: Outcome) -> str:
    """For a person who has to find out what went wrong."""
    by_kind = {kind.value: count for kind, count in sorted(outcome.faults.items())}
    return json.dumps({**outcome.figures(), "by kind": by_kind, "wrong": outcome.wrong()}, indent=2)
