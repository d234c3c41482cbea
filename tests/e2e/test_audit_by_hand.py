"""The real `inbox audit` on a filled topic: how fast, how large, and does it find what was done to the claims by hand.

pytestmark = pytest.mark.heavy

`make audit` runs it with a million events, `make test` with few.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.benchmarks.orders import PARTITIONS, TABLE, TABLE_ROUTE, fill
from tests.benchmarks.processes import usage_until_the_end
from tests.conftest import MakeTopic
from tests.support.kafka_topics import unique_name
from tests.support.sinks import write_configuration

EVENTS = int(os.environ.get("AUDIT_EVENTS", "20000"))
LARGE = 1_000_000
INBOX = [sys.executable, "-P", "-m", "inbox"]
ROUTE = '[[routes]]\nname = "orders"\ntopic = "{topic}"\nevent_id = "header:event_id"\n'
BY_HAND = 10

DELETE = """
DELETE FROM inbox.processed AS claim USING inbox.partitions AS ledger
WHERE claim.partition_id = ledger.partition_id
    AND event_id IN (SELECT event_id FROM inbox.processed ORDER BY md5(event_id::text) LIMIT %s)
RETURNING ledger.partition, claim.kafka_offset
"""
FAKE = """
WITH made AS (
    INSERT INTO inbox.processed (event_id, kafka_offset, payload_hash, partition_id, route_id)
    SELECT gen_random_uuid(), number * next_offset / %s, 0, partition_id, (SELECT route_id FROM inbox.routes)
    FROM generate_series(0, %s - 1) AS number JOIN inbox.partitions ON partition = number %% %s
    RETURNING partition_id, kafka_offset
)
SELECT partition, kafka_offset FROM made JOIN inbox.partitions USING (partition_id)
"""


@pytest.fixture
def config(tmp_path: Path, make_topic: MakeTopic, database_url: str, bootstrap_servers: str) -> Path:
    """A sink that took all events."""
    topic = make_topic(PARTITIONS)
    fill(bootstrap_servers, topic, EVENTS)
    file = write_configuration(
        tmp_path / "inbox.toml",
        name=unique_name("audited"),
        database_url=database_url,
        bootstrap_servers=bootstrap_servers,
        routes=ROUTE.format(topic=topic) + TABLE_ROUTE,
    )
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(TABLE.encode())
    subprocess.run([*INBOX, "run", "--until-end", "--config", str(file)], check=True, capture_output=True)
    return file


@pytest.fixture
def audited(config: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Runs `inbox audit` in a process of its own and tells what that took."""

    def run(*arguments: str) -> dict[str, Any]:
        began = time.monotonic()
        command = [*INBOX, "audit", "--json", *arguments, "--config", str(config)]
        answer = tmp_path / "answer.json"
        with answer.open("wb") as stdout:
            used = usage_until_the_end(subprocess.Popen(command, stdout=stdout))
        seconds, told = time.monotonic() - began, json.loads(answer.read_text())
        cost = f"{used.cpu_seconds:.1f} s of CPU, peak {used.peak_megabytes:.0f} MB"
        print(f"{EVENTS} events: {seconds:.1f} s, {EVENTS / seconds:,.0f}/s, {cost}")
        assert used.peak_megabytes < 300
        if EVENTS >= LARGE:
            assert EVENTS / seconds > 50_000
        return {"seconds": seconds, **told}

    return run


@pytest.mark.timeout(900)
def test_each_claim_that_was_deleted_or_made_up_is_found(
    audited: Callable[..., dict[str, Any]], database_url: str
) -> None:
    sound = audited()
    assert sound["ok"]
    assert sum(part["applied"] for part in sound["partitions"]) == EVENTS
    with psycopg.connect(database_url, autocommit=True) as connection:
        deleted = set(connection.execute(DELETE, [BY_HAND]).fetchall())
        faked = set(connection.execute(FAKE, [BY_HAND, BY_HAND, PARTITIONS]).fetchall())
    assert (len(deleted), len(faked)) == (BY_HAND, BY_HAND)
    told = audited()
    missing = {(part["partition"], each) for part in told["partitions"] for each in part["missing_offsets"]}
    strays = {
        (part["partition"], each["offset"]) for part in told["partitions"] for each in part["claims_without_event_at"]
    }
    assert (missing, strays) == (deleted, faked)
    assert sum(part["missing"] + part["claims_without_event"] for part in told["partitions"]) == 2 * BY_HAND
