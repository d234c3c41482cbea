"""No server and no directory of ours outlives the process that asked for it."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inbox.dev.local.supervised import Supervised
from inbox.dev.local.watchdog import has_ended
from inbox.errors import StartupError
from tests.support.waiting import eventually

PARENT = """
import json, sys
from inbox.dev.local.kafka import LocalKafka
from inbox.dev.local.postgres_binaries import machine_binaries, pypi_binaries
from inbox.dev.local.postgres import LocalPostgres

servers = [LocalKafka(), LocalPostgres(machine_binaries() or pypi_binaries())]
for server in servers:
    server.start()
known = {"pids": [server.pid for server in servers], "paths": [str(server.directory) for server in servers]}
print(json.dumps(known), flush=True)
sys.stdin.read()
"""


@pytest.fixture
def parent() -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


def test_servers_end_and_directories_go_when_the_parent_is_killed(parent: subprocess.Popen[str]) -> None:
    assert parent.stdout is not None
    known: dict[str, Any] = json.loads(parent.stdout.readline())
    assert not any(has_ended(pid) for pid in known["pids"])

    parent.kill()

    eventually(lambda: all(has_ended(pid) for pid in known["pids"]), what="the end of both servers")
    eventually(lambda: not any(Path(path).exists() for path in known["paths"]), what="empty disk")


@pytest.fixture
def supervised() -> Iterator[Supervised]:
    made = Supervised("test")
    yield made
    made.close()


def test_close_ends_the_server_and_removes_its_directory(supervised: Supervised) -> None:
    pid = supervised.start(["sleep", "60"])
    supervised.close()
    assert has_ended(pid)
    assert not supervised.directory.exists()


def test_a_server_that_ignores_its_signal_is_killed(supervised: Supervised) -> None:
    pid = supervised.start(["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"])
    eventually(lambda: "ready" in supervised.log_tail())
    supervised.stop(within=0.3)
    assert has_ended(pid)
    assert supervised.exit_code == -signal.SIGKILL


def test_a_frozen_server_can_be_stopped(supervised: Supervised) -> None:
    pid = supervised.start(["sleep", "60"])
    os.kill(pid, signal.SIGSTOP)
    supervised.stop(within=10)
    assert supervised.exit_code == -signal.SIGTERM


def test_kill_takes_the_children_of_the_server_along(supervised: Supervised) -> None:
    supervised.start(["sh", "-c", "setsid sleep 60 & echo $!; wait"])
    child = int(eventually(supervised.log_tail))
    supervised.kill()
    assert has_ended(child)
    assert supervised.directory.exists()


def test_a_fork_of_the_parent_keeps_nothing_alive(supervised: Supervised) -> None:
    pid = supervised.start(["sleep", "60"])
    with subprocess.Popen(["sleep", "60"]) as started_later:
        read_end, write_end = os.pipe()
        forked = os.fork()
        if forked == 0:
            os.close(write_end)
            os.read(read_end, 1)
            os._exit(0)
        supervised.close()  # would wait for ever if either child held the pipe
        assert has_ended(pid)
        os.close(write_end)
        os.waitpid(forked, 0)
        started_later.kill()


def test_a_program_that_is_not_there_is_named(supervised: Supervised) -> None:
    with pytest.raises(StartupError, match="no-such-program"):
        supervised.start(["no-such-program"])
