"""What the tutorial has a new user type, from its second step to the audit."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from inbox.dev.backends import Servers
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import delete_topic, unique_name
from tests.support.sinks import offer_handlers

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long

SOURCES = {".py", ".toml"}
STEP = re.compile(r"^## (\d)\. ", re.MULTILINE)
BLOCK = re.compile(r"```(\w+)\n(.*?)```", re.DOTALL)


class Tutorial:
    """The tutorial with names of one test alone, so that it can run beside other tests on shared servers."""

    def __init__(self, servers: Servers, directory: Path, name: str, url: str) -> None:
        self.directory, self.url = directory, url
        self._given = {
            "postgresql://postgres:PASSWORD@127.0.0.1:5432/postgres": url,
            "postgresql://postgres:...": url,
            "127.0.0.1:9092": servers.bootstrap_servers,
            "127.0.0.1:...": servers.bootstrap_servers,
            "order.events": f"{name}.order.events",
            'name = "inventory"': f'name = "{name}-inventory"',
            'name = "parcels"\n\n[database]': f'name = "{name}-parcels"\n\n[database]',
        }
        text = self.personal((ROOT / "docs" / "tutorial.md").read_text())
        parts = STEP.split(text)[1:]
        self._steps = dict(zip(map(int, parts[::2]), parts[1::2], strict=True))
        shutil.copytree(ROOT / "examples/inventory", self.example, ignore=shutil.ignore_patterns("__pycache__"))
        for path in self.example.rglob("*"):
            if path.suffix in SOURCES:
                path.write_text(self.personal(path.read_text()))

    @property
    def example(self) -> Path:
        return self.directory / "checkout" / "examples" / "inventory"

    @property
    def parcels(self) -> Path:
        return self.directory / "parcels"

    def personal(self, text: str) -> str:
        for old, new in self._given.items():
            text = text.replace(old, new)
        return text

    def blocks(self, step: int, language: str) -> list[str]:
        return [content for kind, content in BLOCK.findall(self._steps[step]) if kind == language]

    def type(self, commands: str, directory: Path) -> str:
        """Type commands as the reader does; those that install or activate have no counterpart in a test."""
        typed = re.sub(r"^(pip install|\. \.venv|\.venv/bin/inbox dev up).*\n", "", commands, flags=re.MULTILINE)
        environ = {key: value for key, value in os.environ.items() if not key.startswith("INBOX_")}
        environ["PATH"] = f"{Path(sys.executable).parent}:{environ['PATH']}"
        environ["PYTHONPATH"] = os.pathsep.join([str(self.parcels), str(self.example), str(ROOT)])
        done = subprocess.run(
            ["bash", "-e", "-o", "pipefail", "-c", typed],
            cwd=directory,
            env=environ,
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, f"{typed}\n{done.stdout}\n{done.stderr}"
        return done.stdout


@pytest.fixture
def tutorial(servers: Servers, tmp_path: Path) -> Iterator[Tutorial]:
    name = unique_name("tutorial")
    yield Tutorial(servers, tmp_path, name, create_database(servers.database_url, name))
    drop_database(servers.database_url, name)
    delete_topic(servers.bootstrap_servers, f"{name}.order.events")


def write_parcels(tutorial: Tutorial) -> None:
    """Write the three files of the third step."""
    (handler,) = tutorial.blocks(3, "python")
    (tutorial.parcels / "parcels.py").write_text(handler)
    project, config = tutorial.blocks(3, "toml")
    assert 'pack = "parcels:pack"' in project
    offer_handlers(tutorial.parcels, {"pack": "parcels:pack"}, package="parcels")
    (tutorial.parcels / "inbox.toml").write_text(config)


def test_what_the_tutorial_says_leads_to_one_parcel_for_each_order(tutorial: Tutorial) -> None:
    _, first, more = tutorial.blocks(2, "sh")[1:]
    assert "1000 applied" in re.sub(r"\s+", " ", tutorial.type(first, tutorial.example))
    tutorial.type(more, tutorial.example)

    make, install = tutorial.blocks(3, "sh")
    tutorial.type(make.split("\n")[0], tutorial.example)
    write_parcels(tutorial)
    tutorial.type(install, tutorial.parcels)
    small = rows(tutorial)

    listed, retried, audited = tutorial.blocks(4, "sh")
    assert "more than fits into a parcel" in tutorial.type(listed, tutorial.parcels)
    tutorial.type(retried, tutorial.parcels)
    assert "every offset is accounted for" in tutorial.type(audited, tutorial.parcels)
    parcels, orders, largest = rows(tutorial)
    assert (parcels, largest) == (orders, 5)
    assert small[0] < parcels


def rows(tutorial: Tutorial) -> tuple[int, int, int]:
    with psycopg.connect(tutorial.url) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT order_id), max(pieces) FROM parcels").fetchone()
    assert found is not None
    return found
