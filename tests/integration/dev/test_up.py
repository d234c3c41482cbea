"""`inbox dev up`, as a process of its own."""

import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from inbox.dev.backends import Servers
from inbox.dev.up import configuration
from tests.support.kafka_topics import cluster_id

# A shell that started the tests in the background has them ignore SIGINT, and their processes with them.
PROGRAM = """
import signal
import sys
from pathlib import Path
from inbox.dev.up import up

signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(up(out=sys.stdout, config_path=Path(sys.argv[1])))
"""


@pytest.fixture
def config_path(tmp_path: Path) -> Path:
    return tmp_path / "inbox.toml"


@pytest.fixture
def running(config_path: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", PROGRAM, str(config_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_up_writes_a_configuration_that_works_and_leaves_nothing(
    running: subprocess.Popen[str], config_path: Path, number: signal.Signals
) -> None:
    assert running.stdout is not None
    shown = ""
    for line in running.stdout:
        shown += line
        if line.startswith("running"):
            break
    written = tomllib.loads(config_path.read_text())
    assert config_path.stat().st_mode & 0o077 == 0
    assert cluster_id(written["kafka"]["bootstrap.servers"])
    psycopg.connect(written["database"]["url"]).close()

    os.kill(running.pid, number)

    rest, errors = running.communicate(timeout=120)
    assert (running.returncode, errors) == (0, "")
    assert "stopping" in rest
    assert not config_path.exists()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(written["database"]["url"])


def test_up_does_not_overwrite_a_configuration(running: subprocess.Popen[str], config_path: Path) -> None:
    config_path.write_text("mine")
    _, errors = running.communicate(timeout=120)
    assert "exists already; remove it or choose another with --config" in errors
    assert config_path.read_text() == "mine"


def test_the_configuration_is_toml_whatever_the_password_holds() -> None:
    url = 'postgresql://user:a\\b"c@host/database'
    assert tomllib.loads(configuration(Servers("host:9092", url, "")))["database"]["url"] == url
