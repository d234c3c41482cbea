"""The README says what is true: its configuration, its SQL, its handler and its commands are run."""

import ast
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from inbox import Event, EventError, Transaction
from tests.support.kafka_topics import create_topic, idempotent_producer

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line.split("#")[0] for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line) for line in lines if line.strip()]


@pytest.fixture
def sink(tmp_path: Path, database_url: str, bootstrap_servers: str) -> dict[str, str]:
    """The README's table and configuration, pointed at this test's servers; its environment."""
    topic = create_topic(bootstrap_servers)
    value = b'{"order_id": 7, "customer": {"name": "Ada"}, "amount": 12.50}'
    producer = idempotent_producer(bootstrap_servers)
    producer.produce(topic, value, headers={"event_id": b"6f9619ff-8b86-4d01-b42d-00cf4fc964ff"})
    assert producer.flush(120) == 0
    with psycopg.connect(database_url) as connection:
        connection.execute(blocks("sql")[0])
    config = next(block for block in blocks("toml") if "[sink]" in block)
    (tmp_path / "inbox.toml").write_text(config.replace('topic = "orders"', f'topic = "{topic}"'))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("INBOX_")}
    return {
        **inherited,
        "INBOX_DATABASE__URL": database_url,
        "INBOX_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers,
    }


def test_the_commands_of_the_readme_take_an_event_into_its_table(
    sink: dict[str, str], tmp_path: Path, database_url: str
) -> None:
    for command in commands():
        if command[0] != "inbox":
            continue
        arguments = [*command[1:], "--until-end"] if command[1] == "run" else command[1:]
        ran = subprocess.run(
            [sys.executable, "-m", "inbox", *arguments],
            cwd=tmp_path,
            env=sink,
            capture_output=True,
            text=True,
            timeout=180,
        )
        assert ran.returncode == 0, f"{command}: {ran.stdout}{ran.stderr}"

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT order_id, customer, amount::text, document->>'amount' FROM orders").fetchall()
    assert rows == [(7, "Ada", "12.50", "12.50")]


def test_make_has_every_target_that_the_readme_names() -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = [command[1] for command in commands() if command[0] == "make"]

    assert named == ["demo", "demo-outbox", "test"]
    assert set(named) <= set(targets)


class Recorder:
    def __init__(self) -> None:
        self.statements: list[tuple[str, object]] = []

    def execute(self, query: str, parameters: object = None) -> None:
        self.statements.append((query, parameters))


def test_the_handler_of_the_readme_reserves_what_the_event_orders() -> None:
    namespace: dict[str, object] = {}
    exec(compile(ast.parse(blocks("python")[0]), "README.md", "exec"), namespace)  # noqa: S102 - our own README
    handler = namespace["reserve_stock"]
    assert callable(handler)

    tx = Recorder()
    handler(_event(b'{"quantity": 2, "sku": "tea"}'), tx)
    assert [parameters for _, parameters in tx.statements] == [(2, "tea")]
    with pytest.raises(EventError):
        handler(_event(b'{"quantity": 0, "sku": "tea"}'), Transaction)


def test_every_link_of_the_readme_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", README)

    assert [link for link in links if not (ROOT / link).exists()] == []


def _event(value: bytes) -> Event:
    return Event(uuid4(), "OrderCreated", "orders", 0, 0, None, None, value)
