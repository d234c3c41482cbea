"""Events that end the process, or never give it back: parked after their attempts, and not before."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import UUID

import psycopg
import pytest

from tests.e2e.launcher import environment
from tests.support.kafka_topics import create_topic, idempotent_producer
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

HANDLER = """
import os, signal, socket, time
import inbox

def apply(event, tx):
    act(event.value.decode(), event.offset)
    tx.execute("INSERT INTO effects VALUES (%s)", (event.offset,))

@inbox.handler(batch=True)
def apply_all(events, tx):
    for event in events:
        apply(event, tx)

def act(what, offset):
    if what in ("die", "hang", "spin"):
        with open(os.environ["CALLS"], "a") as calls:
            calls.write(f"{offset}\\n")
    if what == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if what == "hang":
        ours, theirs = socket.socketpair()
        ours.recv(1)
    while what == "spin":
        pass
"""

ROUTE = """
[[routes]]
name = "apply"
topic = "{topic}"
handler = "{handler}"
"""


class Crashing:
    """A sink whose handler does what the value says, started again and again as a supervisor would."""

    def __init__(self, directory: Path, database_url: str, bootstrap_servers: str) -> None:
        self.database_url = database_url
        self._directory = directory
        self._topic = create_topic(bootstrap_servers)
        self._producer = idempotent_producer(bootstrap_servers)
        self._servers = bootstrap_servers
        (directory / "packages").mkdir()
        (directory / "packages" / "crashing.py").write_text(HANDLER)
        self._packages = offer_handlers(
            directory / "packages", {name: f"crashing:{name}" for name in ("apply", "apply_all")}
        )
        self._calls = directory / "calls"
        self._calls.touch()
        with psycopg.connect(database_url) as connection:
            connection.execute("CREATE TABLE effects (kafka_offset bigint)")

    def configure(self, failures: str, *, handler: str = "apply") -> None:
        write_configuration(
            self._directory / "inbox.toml",
            database_url=self.database_url,
            bootstrap_servers=self._servers,
            routes=ROUTE.format(topic=self._topic, handler=handler),
            rest=f'[failures]\norder = "none"\n{failures}',
        )

    def send(self, *values: str) -> None:
        for number, value in enumerate(values):
            self._producer.produce(self._topic, value, headers=[("event_id", str(UUID(int=number + 1)))])
        assert self._producer.flush(120) == 0

    def run(self) -> int:
        return subprocess.run(
            [sys.executable, "-m", "inbox", "run", "--until-end"],
            cwd=self._directory,
            env=environment(self._packages, CALLS=str(self._calls)),
            stderr=subprocess.DEVNULL,
            timeout=180,
        ).returncode

    def run_until_done(self, most: int) -> list[int]:
        codes: list[int] = []
        while not codes or (codes[-1] and len(codes) < most):
            codes.append(self.run())
        return codes

    def calls(self) -> int:
        return len(self._calls.read_text().splitlines())

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database_url) as connection:
            return connection.execute(query.encode()).fetchall()


@pytest.fixture
def crashing(tmp_path: Path, database_url: str, bootstrap_servers: str) -> Crashing:
    return Crashing(tmp_path, database_url, bootstrap_servers)


def others_applied_once(crashing: Crashing, poison: int, count: int) -> bool:
    applied = [row[0] for row in crashing.rows("SELECT kafka_offset FROM effects ORDER BY 1")]
    return applied == [offset for offset in range(count) if offset != poison]


def test_an_event_that_ends_the_process_is_parked_after_its_attempts_and_not_before(crashing: Crashing) -> None:
    crashing.configure("attempts = 3")
    crashing.send(*["fine"] * 5, "die", *["fine"] * 5)
    assert crashing.run_until_done(most=8) == [-9, -9, -9, 0]
    assert crashing.calls() == 3
    assert others_applied_once(crashing, poison=5, count=11)
    assert crashing.rows("SELECT kafka_offset, attempts, state, error FROM inbox.dead_letters") == [
        (5, 3, "parked", "the process ended 3 times while its handler processed this event")
    ]
    assert crashing.rows("SELECT * FROM inbox.handling") == []


def test_a_batch_handler_that_is_ended_shows_which_event_did_it(crashing: Crashing) -> None:
    crashing.configure("attempts = 2", handler="apply_all")
    crashing.send(*["fine"] * 3, "die", *["fine"] * 3)
    codes = crashing.run_until_done(most=8)
    assert codes[-1] == 0
    assert others_applied_once(crashing, poison=3, count=7)
    assert crashing.rows("SELECT kafka_offset FROM inbox.dead_letters") == [(3,)]


def test_a_handler_over_its_time_is_interrupted_and_counts_an_attempt(crashing: Crashing) -> None:
    crashing.configure('attempts = 2\nhandler_timeout = "1s"')
    crashing.send("fine", "spin", "fine")
    assert crashing.run() == 0
    assert others_applied_once(crashing, poison=1, count=3)
    [(attempts, error)] = crashing.rows("SELECT attempts, error FROM inbox.dead_letters")
    assert attempts == 2
    assert "HandlerTimeoutError" in str(error)


def test_a_handler_that_cannot_be_interrupted_ends_the_process_and_is_parked_in_the_end(crashing: Crashing) -> None:
    crashing.configure('attempts = 1\nhandler_timeout = "1s"')
    crashing.send("fine", "hang", "fine")
    codes = crashing.run_until_done(most=4)
    assert codes == [1, 0]
    assert others_applied_once(crashing, poison=1, count=3)


def test_a_process_that_is_killed_from_outside_counts_nothing(crashing: Crashing) -> None:
    """Killed while it waits for the lock that its statement needs: nothing is in a handler's hand then."""
    crashing.configure("attempts = 1")
    crashing.send("fine", "fine")
    with psycopg.connect(crashing.database_url) as blocker:
        blocker.execute("LOCK TABLE inbox.processed IN ACCESS EXCLUSIVE MODE")
        with subprocess.Popen(
            [sys.executable, "-m", "inbox", "run", "--until-end"],
            cwd=crashing._directory,
            env=environment(crashing._packages, CALLS=os.devnull),
            stderr=subprocess.DEVNULL,
        ) as process:
            waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND relation = 'inbox.processed'::regclass"
            eventually(lambda: blocker.execute(waits).fetchone(), what="a statement that waits")
            process.kill()
    assert crashing.run() == 0
    assert others_applied_once(crashing, poison=-1, count=2)
