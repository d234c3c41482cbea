"""What is in an event stays out of every line that the sink writes, whatever goes wrong with it."""

import json
import secrets
import subprocess
import sys
from pathlib import Path

import psycopg

from tests.conftest import MakeTopic
from tests.e2e.launcher import environment
from tests.support.kafka_topics import idempotent_producer
from tests.support.sinks import write_configuration

MARK = "tell-" + secrets.token_hex(8)
ROUTE = """
[[routes]]
topic = "{topic}"
[routes.table]
name = "public.orders"
mode = "insert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"
amount = "/amount"
note = "/note"
"""
TABLE = """
CREATE TABLE public.orders (
    order_id bigint PRIMARY KEY, amount numeric CHECK (amount > 0), note varchar(40) UNIQUE
)
"""
WRONG = [
    {"order_id": MARK, "amount": 1, "note": "a number is wanted"},
    {"order_id": 2, "amount": -1, "note": MARK},
    {"order_id": 3, "amount": 1, "note": MARK + "x" * 40},
    {"order_id": 4, "amount": 1, "note": MARK + "\u0000"},
    {"order_id": 5, "amount": 1, "note": f"{MARK}-twice"},
    {"order_id": 6, "amount": 1, "note": f"{MARK}-twice"},
    [MARK],
]


def test_no_line_holds_a_payload_a_key_or_a_header(
    tmp_path: Path, database_url: str, make_topic: MakeTopic, bootstrap_servers: str
) -> None:
    topic = make_topic()
    producer = idempotent_producer(bootstrap_servers)
    values = [*(json.dumps(value).encode() for value in WRONG), f"{MARK} is no JSON".encode(), b"\xff" + MARK.encode()]
    for number, value in enumerate(values):
        headers: list[tuple[str, str | bytes | None]] = [("event_id", f"{MARK}-{number}"), ("note", MARK)]
        producer.produce(topic, value, key=f"{MARK}-{number}", headers=headers)
    producer.produce(topic, b"{}", key=f"{MARK}-no-id")
    assert producer.flush(120) == 0
    with psycopg.connect(database_url) as connection:
        connection.execute(TABLE)
    config = write_configuration(
        tmp_path / "inbox.toml",
        name=topic,
        database_url=database_url,
        bootstrap_servers=bootstrap_servers,
        routes=ROUTE.format(topic=topic),
    )

    command = [sys.executable, "-P", "-m", "inbox", "run", "--until-end", "--config", str(config)]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=180)

    assert done.returncode == 0, done.stderr
    with psycopg.connect(database_url) as connection:
        parked = connection.execute("SELECT count(*) FROM inbox.dead_letters").fetchone()
    assert parked is not None
    assert parked[0] >= len(WRONG)
    assert done.stderr.count("event-parked") == parked[0]
    assert MARK not in done.stdout + done.stderr
