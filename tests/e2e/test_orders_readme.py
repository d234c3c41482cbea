"""What the README of examples/orders tells a new user to type."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest

from inbox.dev.backends import Servers
from inbox.dev.ports import free_port
from tests.support.databases import drop_database
from tests.support.kafka_topics import delete_topic, unique_name
from tests.support.waiting import eventually

EXAMPLE = Path(__file__).parents[2] / "examples" / "orders"
SUFFIXES = {".py", ".toml", ".md"}


@pytest.fixture
def example(servers: Servers, tmp_path: Path) -> Iterator[tuple[Path, str]]:
    """The example's directory as the user has it, with names of this test alone, and the random part of those."""
    name = unique_name("readme")
    place = urlsplit(servers.database_url)
    given = {
        "postgres:PASSWORD@127.0.0.1:5432/": f"{place.netloc}/{name}_",
        "127.0.0.1:9092": servers.bootstrap_servers,
        "order.events": f"{name}.order.events",
        'name = "inventory"': f'name = "{name}"',
        "8000": str(free_port()),
    }
    directory = tmp_path / "orders"
    shutil.copytree(EXAMPLE, directory, ignore=shutil.ignore_patterns("__pycache__"))
    for path in directory.rglob("*"):
        if path.suffix in SUFFIXES:
            text = path.read_text(encoding="utf-8")
            for old, new in given.items():
                text = text.replace(old, new)
            path.write_text(text, encoding="utf-8")
    yield directory, name
    for database in ("orders", "inventory"):
        drop_database(servers.database_url, f"{name}_{database}")
    delete_topic(servers.bootstrap_servers, f"{name}.order.events")


def commands(directory: Path) -> str:
    """The block of the README, without what installs the packages."""
    (block,) = re.findall(r"```sh\n(.*?)```", (directory / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    install, rest = block.split("\n", 1)
    assert install.startswith("pip install")
    return str(rest)


def test_what_the_readme_says_leads_to_stock_that_agrees(servers: Servers, example: tuple[Path, str]) -> None:
    directory, name = example
    environ = {key: value for key, value in os.environ.items() if not key.startswith("INBOX_")}
    environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
    log = directory / "log"
    with log.open("wb") as output:
        shell = subprocess.Popen(
            ["bash", "-e", "-c", f"{commands(directory)}\nwait"],
            cwd=directory,
            env=environ,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        placed, pieces, refused = eventually(lambda: said(log, shell), within=120, what="the customers' last word")
        assert (placed + refused, refused > 0) == (1000, True)
        inventory = urlsplit(servers.database_url)._replace(path=f"/{name}_inventory").geturl()
        eventually(lambda: reserved(inventory) == (placed, pieces), what="the last reservation")
        assert applied(directory, environ) == placed
    finally:
        with suppress(ProcessLookupError):
            os.killpg(shell.pid, signal.SIGTERM)
        shell.wait(120)


def said(log: Path, shell: "subprocess.Popen[bytes]") -> tuple[int, int, int] | None:
    text = log.read_text(errors="replace")
    assert shell.poll() is None, text
    found = re.search(r"(\d+) orders placed, (\d+) pieces; (\d+) refused", text)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def reserved(url: str) -> tuple[int, int]:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT count(*), coalesce(sum(quantity), 0) FROM reservations").fetchone()
    assert row is not None
    return row[0], row[1]


def applied(directory: Path, environ: dict[str, str]) -> int:
    command = ["inbox", "status", "--json", "--config", "inventory.toml"]
    told = subprocess.run(command, cwd=directory, env=environ, stdout=subprocess.PIPE, check=True)
    return int(json.loads(told.stdout)["totals"]["applied"])
