"""How fast `inbox relay` empties an outbox, and how long an event takes from its COMMIT until a broker has it."""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from uuid import UUID

import psycopg
from pydantic import SecretStr

from inbox import outbox
from inbox.dev.backends import Servers, servers
from inbox.store.migrations import migrate
from inbox.store.options import DatabaseOptions, OutboxOptions
from tests.benchmarks.processes import usage
from tests.databases import create_database, drop_database
from tests.e2e.launcher import environment
from tests.integration.relay.conftest import read_all
from tests.kafka_topics import create_topic, unique_name

PARTITIONS, PAYLOAD_BYTES = 12, 300
FILL = """
INSERT INTO inbox.outbox (event_id, topic, aggregate_id, type, payload)
SELECT gen_random_uuid(), %s, (n %% 10000)::text, 'OrderPlaced', json_build_object('n', n, 'text', repeat('x', %s))
FROM generate_series(1, %s) AS n
"""
RATE = "SELECT count(*) / extract(epoch FROM max(sent_at) - min(sent_at)) FROM inbox.outbox_sent"


class Bench:
    """A fresh outbox and a topic whose records have the broker's time."""

    def __init__(self, directory: Path, running: Servers, mode: list[str]) -> None:
        self.url = create_database(running.database_url, unique_name("bench"))
        self.servers = running.bootstrap_servers
        self.topic = create_topic(self.servers, None, PARTITIONS, message_timestamp_type="LogAppendTime")
        self._server_url = running.database_url
        self._mode = mode
        self._config = directory / f"{self.topic}.toml"
        self._config.write_text(
            f'[database]\nurl = "{self.url}"\n[kafka]\n"bootstrap.servers" = "{self.servers}"\n'
            f'[outbox]\ntransactional_id = "{self.topic}"\n'
        )
        migrate(DatabaseOptions(url=SecretStr(self.url)), outbox=OutboxOptions())

    def close(self) -> None:
        drop_database(self._server_url, self.url.rpartition("/")[2])

    def relay(self, *more: str) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", "inbox", "relay", "--config", str(self._config), *self._mode, *more]
        return subprocess.Popen(command, env=environment(), stderr=subprocess.DEVNULL)

    def throughput(self, rows: int) -> dict[str, float]:
        """Events a second from the first to the last that was recorded, CPU and peak memory of the relay."""
        with psycopg.connect(self.url) as connection:
            connection.execute(FILL, (self.topic, PAYLOAD_BYTES, rows))
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE inbox.outbox")
            relay = self.relay()
            unsent = "SELECT count(*) FROM inbox.outbox_sent"
            while connection.execute(unsent).fetchone() != (rows,):
                time.sleep(0.5)
            used = usage([relay.pid])
            relay.terminate()
            relay.wait()
            row = connection.execute(RATE).fetchone()
        assert row
        return {
            "rows": rows,
            "events_per_second": round(float(row[0])),
            "relay_cpu_us_per_event": round(1e6 * used.cpu_seconds / rows, 1),
            "relay_peak_mb": round(used.peak_megabytes),
        }

    def latency(self, rate: int, seconds: int) -> dict[str, float]:
        """Milliseconds from the return of COMMIT to the broker's time of the record."""
        committed: dict[UUID, float] = {}
        relay = self.relay()
        with psycopg.connect(self.url) as connection:
            self._publish(connection)
            time.sleep(5)
            begun = time.monotonic()
            for number in range(rate * seconds):
                if (early := begun + number / rate - time.monotonic()) > 0:
                    time.sleep(early)
                event_id = self._publish(connection)
                committed[event_id] = time.time()
            took = time.monotonic() - begun
        time.sleep(3)
        relay.terminate()
        relay.wait()
        waits = sorted(
            record.timestamp()[1] - 1000 * committed[event_id]
            for record in read_all(self.servers, self.topic)
            if (event_id := UUID((dict(record.headers() or [])["event_id"] or b"").decode())) in committed
        )
        assert len(waits) == len(committed)
        return {
            "rate": round(len(committed) / took),
            "p50_ms": round(waits[len(waits) // 2], 1),
            "p99_ms": round(waits[len(waits) * 99 // 100], 1),
            "max_ms": round(waits[-1], 1),
        }

    def _publish(self, connection: "psycopg.Connection[tuple[object, ...]]") -> UUID:
        event_id = outbox.publish(
            connection, topic=self.topic, key="1", type="T", payload={"text": "x" * PAYLOAD_BYTES}
        )
        connection.commit()
        return event_id


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--transactional", action="store_true")
    given = parser.parse_args()
    mode = ["--transactional"] if given.transactional else []
    with servers(progress=lambda text: print(text, file=sys.stderr)) as running, tempfile.TemporaryDirectory() as place:
        for measure in (lambda bench: bench.latency(given.rate, given.seconds), lambda b: b.throughput(given.rows)):
            bench = Bench(Path(place), running, mode)
            try:
                print(json.dumps(measure(bench)), flush=True)
            finally:
                bench.close()


if __name__ == "__main__":
    main()
