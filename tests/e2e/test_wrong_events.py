"""Events that cannot be applied, and one that is merely huge: each ends where `what-happens-when.md` says."""

import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest

from tests.support.kafka_topics import create_topic, idempotent_producer

CONFIG = """
[sink]
name = "orders"
[kafka]
[[routes]]
topic = "{topic}"
event_id = "header:event_id"
[routes.table]
name = "public.orders"
mode = "append"
[routes.table.columns]
number = "/number"
note = "/note"
"""

GOOD = b'{"number": 1, "note": "good"}'
LARGE_BYTES = 20 * 1024 * 1024
LARGE = b'{"number": 2, "note": "' + b"x" * LARGE_BYTES + b'"}'


def run_sink(
    tmp_path: Path, database_url: str, bootstrap_servers: str, events: list[tuple[bytes, bytes | None]]
) -> str:
    """Takes the events (value, event id) through the real command, and returns what it said."""
    topic = create_topic(bootstrap_servers, max_message_bytes=2 * LARGE_BYTES)
    producer = idempotent_producer(bootstrap_servers, **{"message.max.bytes": 2 * LARGE_BYTES})
    for value, event_id in events:
        producer.produce(topic, value, headers=[] if event_id is None else [("event_id", event_id)])
    assert producer.flush(120) == 0
    with psycopg.connect(database_url) as connection:
        connection.execute("CREATE TABLE orders (number integer, note text)")
    (tmp_path / "inbox.toml").write_text(CONFIG.format(topic=topic))
    servers = {"INBOX_DATABASE__URL": database_url, "INBOX_KAFKA__BOOTSTRAP_SERVERS": bootstrap_servers}
    ran = subprocess.run(
        [sys.executable, "-m", "inbox", "run", "--until-end"],
        cwd=tmp_path,
        env={**os.environ, **servers},
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stderr


@pytest.mark.parametrize(
    ("value", "event_id", "reason"),
    [
        (GOOD, None, "no event id: the record has no header event_id"),
        (GOOD, b"\xff\xfe", "header event_id is not valid UTF-8"),
        (b'{"number": 1, "note": "\xff"}', b"a", "the value is not JSON that PostgreSQL accepts (22021)"),
        (b'{"number": 1, "note": "a\\u0000b"}', b"a", "the value is not JSON that PostgreSQL accepts (22P05)"),
        (b'{"number": 99999999999, "note": "n"}', b"a", 'column "number" from /number: a value that cannot be integer'),
        (b"no json", b"a", "the value is not JSON that PostgreSQL accepts (22P02)"),
    ],
    ids=["no id", "an id that is no text", "invalid UTF-8", "NUL in text", "a number too large", "no JSON"],
)
def test_a_wrong_event_is_parked_with_its_reason_and_the_others_are_applied(
    tmp_path: Path, database_url: str, bootstrap_servers: str, value: bytes, event_id: bytes | None, reason: str
) -> None:
    good = [(GOOD, str(uuid4()).encode()) for _ in range(4)]

    said = run_sink(tmp_path, database_url, bootstrap_servers, [*good[:2], (value, event_id), *good[2:]])

    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (4,)
        letters = connection.execute("SELECT kafka_offset, state, error, value FROM inbox.dead_letters").fetchall()
        assert connection.execute("SELECT next_offset FROM inbox.partitions").fetchone() == (5,)
    assert [(offset, state, bytes(kept)) for offset, state, _, kept in letters] == [(2, "parked", value)]
    assert reason in letters[0][2]
    assert [line for line in said.splitlines() if "event-parked" in line and "@2" in line]
    assert "Traceback" not in said


def test_a_value_of_20_megabytes_is_applied_like_any_other(
    tmp_path: Path, database_url: str, bootstrap_servers: str
) -> None:
    run_sink(tmp_path, database_url, bootstrap_servers, [(LARGE, b"large"), (GOOD, b"good")])

    with psycopg.connect(database_url) as connection:
        rows = connection.execute("SELECT number, length(note) FROM orders ORDER BY number").fetchall()
    assert rows == [(1, 4), (2, LARGE_BYTES)]
