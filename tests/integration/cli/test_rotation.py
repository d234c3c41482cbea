"""Secrets that change while the sink runs, on a real server that changes with them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from inbox.process.exit_codes import STARTUP
from tests.e2e.launcher import environment
from tests.integration.cli.conftest import Sink
from tests.support.kafka_topics import unique_name
from tests.support.pages import get, listening
from tests.support.planted import plant
from tests.support.waiting import eventually

FIRST, SECOND = plant("first-w0rd"), plant("second-w0rd")


class Rotated:
    """A sink whose database password stands in a file, and a role of its own."""

    def __init__(self, sink: Sink, directory: Path) -> None:
        self._sink = sink
        self._secrets = directory / "secrets"
        self._secrets.mkdir()
        self.role = unique_name("role")
        self.log = directory / "log"
        self.execute(
            f"CREATE ROLE {self.role} LOGIN PASSWORD '{FIRST}'",
            f"GRANT USAGE ON SCHEMA inbox TO {self.role}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA inbox, public TO {self.role}",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA inbox TO {self.role}",
        )

    def execute(self, *statements: str) -> None:
        for statement in statements:
            self._sink.sql(statement)

    def write(self, password: str) -> None:
        """As Kubernetes does: another file under the same name, at once."""
        parts = urlsplit(self._sink.database_url)
        url = parts._replace(netloc=f"{self.role}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()
        new = self._secrets / ".new"
        new.write_text(url)
        new.rename(self._secrets / "database__url")

    def change_in_the_server(self, password: str) -> None:
        """And every session ends, so that the old password is of no more use."""
        self.execute(
            f"ALTER ROLE {self.role} PASSWORD '{password}'",
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{self.role}'",  # noqa: S608
        )

    def start(self, *flags: str) -> "subprocess.Popen[bytes]":
        lines = self._sink.config.read_text().splitlines(keepends=True)
        self._sink.config.write_text("".join(line for line in lines if not line.startswith("url = ")))
        command = [sys.executable, "-P", "-m", "inbox", "run", *flags, "--config", str(self._sink.config)]
        with self.log.open("wb") as log:
            return subprocess.Popen(command, env=environment(INBOX_SECRETS_DIR=str(self._secrets)), stderr=log)

    def said(self, event: str) -> int:
        return len(self._lines(event))

    def working(self) -> int:
        """How many workers have had partitions."""
        return len({line.get("worker") for line in self._lines("assigned")})

    def pids(self) -> list[int]:
        """Of the workers, as they were started."""
        return [int(str(line["pid"])) for line in self._lines("worker-started")]

    def exit_codes(self) -> list[object]:
        return [line["exit_code"] for line in self._lines("worker-ended")]

    def _lines(self, event: str) -> list[dict[str, object]]:
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == event]

    def settled(self) -> int:
        return sum(self._sink.next_offsets().values())


@pytest.fixture
def rotated(sink: Sink, tmp_path: Path) -> Iterator[Rotated]:
    made = Rotated(sink, tmp_path)
    yield made
    with psycopg.connect(sink.database_url, autocommit=True) as connection:
        connection.execute(f"DROP OWNED BY {made.role}".encode())
        connection.execute(f"DROP ROLE {made.role}".encode())


@pytest.fixture
def start(rotated: Rotated) -> Iterator[Callable[..., "subprocess.Popen[bytes]"]]:
    started: list[subprocess.Popen[bytes]] = []

    def run(*flags: str) -> "subprocess.Popen[bytes]":
        started.append(rotated.start(*flags))
        return started[-1]

    yield run
    for process in started:
        process.kill()
        process.wait()


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
def test_a_new_password_is_taken_without_a_restart(
    sink: Sink, rotated: Rotated, start: Callable[..., "subprocess.Popen[bytes]"], workers: int
) -> None:
    rotated.write(FIRST)
    process = start("--workers", str(workers))
    sink.produce(10)
    eventually(lambda: rotated.settled() == 10, what="10 settled offsets")
    # One that has still to log in would do so with what is in the file by then.
    eventually(lambda: rotated.working() == workers, what="all workers at work")

    # The file first: it is refused as long as the server does not know the new password, and nothing stops.
    rotated.write(SECOND)
    eventually(lambda: rotated.said("secrets-refused"), what="a refusal")
    sink.produce(10)
    eventually(lambda: rotated.settled() == 20, what="20 settled offsets, still with the first")
    rotated.change_in_the_server(SECOND)
    sink.produce(10)
    eventually(lambda: rotated.settled() == 30, what="30 settled offsets, with the second")

    assert rotated.said("secrets-changed") == 1
    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=120) == 0
    for secret in (FIRST, SECOND):
        assert secret not in rotated.log.read_text()


def test_a_worker_that_dies_before_the_server_knows_the_new_password_takes_no_other_with_it(
    sink: Sink, rotated: Rotated, start: Callable[..., "subprocess.Popen[bytes]"]
) -> None:
    rotated.write(FIRST)
    port = listening(sink)
    process = start("--workers", "2")
    eventually(lambda: get(port, "ready")[0] == 200, what="both workers at work")
    rotated.write(SECOND)

    os.kill(rotated.pids()[0], signal.SIGKILL)
    eventually(lambda: STARTUP in rotated.exit_codes(), what="a worker that cannot log in")
    sink.produce(10)
    eventually(lambda: rotated.settled() == 10, what="10 settled offsets, by the other one")
    starts = len(rotated.pids())
    rotated.change_in_the_server(SECOND)
    eventually(lambda: len(rotated.pids()) > starts, what="another start")
    sink.produce(10)
    eventually(lambda: rotated.settled() == 20, what="20 settled offsets, with the second")

    assert process.poll() is None
    process.terminate()
    assert process.wait(timeout=120) == 0
