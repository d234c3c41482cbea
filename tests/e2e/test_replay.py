"""Replays over two running workers that are killed meanwhile: nothing twice, or each event of the range once more.

pytestmark = pytest.mark.heavy

In the middle of each, another generation of claims takes over.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.benchmarks.orders import PARTITIONS, fill
from tests.conftest import MakeTopic
from tests.e2e.counting import TABLES
from tests.e2e.launcher import environment
from tests.faults.pods import Pod
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

EVENTS = int(os.environ.get("REPLAY_EVENTS", "20000"))
KILLS = int(os.environ.get("REPLAY_KILLS", "2"))
PATIENCE_SECONDS = 180 + EVENTS / 1000
WORKERS = 2
SWITCH_AT = 0.1
"""Which part of a replay is settled by then."""

ROUTES = '[[routes]]\nname = "count"\ntopic = "{topic}"\nhandler = "count"\n'


class Trial:
    """A sink of two workers on a topic of its own, and what its handler counted."""

    def __init__(self, directory: Path, *, topic: str, database_url: str, bootstrap_servers: str) -> None:
        self._directory = directory
        self._database_url = database_url
        self._packages = offer_handlers(directory / "packages", {"count": "tests.e2e.counting:count"})
        self._configuration = write_configuration(
            directory / "inbox.toml",
            name=topic,
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            routes=ROUTES.format(topic=topic),
        )
        self.sql(TABLES)

    def sql(self, query: str, *parameters: int) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._database_url, autocommit=True) as connection:
            cursor = connection.execute(query.encode(), parameters or None)
            return cursor.fetchall() if cursor.description else []

    @contextmanager
    def running(self) -> Iterator[list[Pod]]:
        with ExitStack() as stack:
            logs = [self._directory / f"worker-{number}.log" for number in range(WORKERS)]
            pods = [Pod(self._configuration, log, environment(self._packages)) for log in logs]
            yield [stack.enter_context(pod) for pod in pods]
        assert [pod.ended_by_itself for pod in pods] == [[]] * WORKERS

    def all_settled(self) -> bool:
        return self.sql("SELECT sum(next_offset) FROM inbox.partitions") == [(EVENTS,)]

    def replay(self, *arguments: str) -> int:
        """Begins it, and returns its number."""
        return int(self._told("replay", *arguments)["replay_id"])

    def switch(self) -> None:
        """As after a fifteenth of the retention: what is claimed from now on goes into another table."""
        self.sql("UPDATE inbox.generations SET opened_at = opened_at - interval '20 days' WHERE closed_at IS NULL")
        self._told("prune")

    def _told(self, *command: str) -> dict[str, Any]:
        whole = [sys.executable, "-P", "-m", "inbox", *command, "--config", str(self._configuration), "--json"]
        done = subprocess.run([*whole, "--execute"], env=environment(self._packages), capture_output=True, check=True)
        return dict(json.loads(done.stdout))

    def state(self, replay_id: int) -> tuple[str, float]:
        """The replay's, and which part of it is settled again."""
        [(state, done, total)] = self.sql(
            "SELECT replays.state, sum(next_offset - from_offset), sum(until_offset - from_offset) "
            "FROM inbox.replays JOIN inbox.replay_ranges USING (replay_id) WHERE replay_id = %s GROUP BY 1",
            replay_id,
        )
        return state, done / total

    def survive(self, replay_id: int, pods: list[Pod]) -> int:
        """Kill a worker whenever a further part is settled, until all of it is; how often."""
        kills, switched, deadline = 0, False, time.monotonic() + PATIENCE_SECONDS
        while (found := self.state(replay_id))[0] == "running":
            if kills < KILLS and found[1] > (kills + 0.5) / (KILLS + 1):
                pods[kills % WORKERS].kill()
                kills += 1
            if not switched and found[1] > SWITCH_AT:
                self.switch()
                switched = True
            assert time.monotonic() < deadline, f"replay {replay_id} is {found}"
            time.sleep(0.02)
        assert (found[0], switched) == ("settled", True)
        return kills

    def times(self) -> list[tuple[int, int]]:
        """How many events took effect how often."""
        return self.sql("SELECT times, count(*) FROM effects GROUP BY 1 ORDER BY 1")


@pytest.mark.timeout(int(5 * PATIENCE_SECONDS))
def test_replays_over_workers_that_are_killed(
    tmp_path: Path,
    bootstrap_servers: str,
    make_topic: MakeTopic,
    database_url: str,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    topic = make_topic(partitions=PARTITIONS)
    fill(bootstrap_servers, topic, EVENTS)
    trial = Trial(tmp_path, topic=topic, database_url=database_url, bootstrap_servers=bootstrap_servers)
    each = EVENTS // PARTITIONS
    first, last = each // 10, each - each // 10
    seconds, kills = {}, {}
    with trial.running() as pods:
        eventually(trial.all_settled, within=PATIENCE_SECONDS, what="every event settled")
        assert trial.times() == [(1, EVENTS)]
        for mode in ("skip-applied", "force"):
            begun = time.monotonic()
            bounds = ("--from-offset", str(first), "--until-offset", str(last))
            number = trial.replay("--topic", topic, *bounds, "--mode", mode)
            kills[mode] = trial.survive(number, pods)
            seconds[mode] = time.monotonic() - begun
            eventually(trial.all_settled, within=PATIENCE_SECONDS, what="the ledger where it stood")
            if mode == "skip-applied":
                assert trial.times() == [(1, EVENTS)]
    again = PARTITIONS * (last - first)
    assert trial.times() == [(1, EVENTS - again), (2, again)]
    outside = "SELECT count(*) FROM effects WHERE times = 2 AND (kafka_offset < %s OR kafka_offset >= %s)"
    assert trial.sql(outside, first, last) == [(0,)]
    assert trial.sql("SELECT sum(applied), sum(duplicate) FROM inbox.partitions") == [(EVENTS, 0)]
    counted = "SELECT replay_id, sum(applied), sum(duplicate) FROM inbox.replay_ranges GROUP BY 1 ORDER BY 1"
    assert trial.sql(counted) == [(1, 0, again), (2, again, 0)]
    assert trial.sql("SELECT generation FROM inbox.sink") == [(2,)]
    assert trial.sql("SELECT count(*), count(DISTINCT event_id) FROM inbox.processed") == [(EVENTS, EVENTS)]
    figures = {
        "events": EVENTS,
        "replayed": again,
        "kills": kills,
        "seconds": {m: round(s) for m, s in seconds.items()},
    }
    record_testsuite_property("replays", figures)
    print(figures)
