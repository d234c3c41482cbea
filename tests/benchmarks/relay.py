"""How fast `inbox relay` empties an outbox, how long an event takes from its COMMIT until a broker has it, and what the
outbox costs those who publish.

A line of JSON for each: latency at `--rate`; throughput without and with Kafka's transactions; publishing. With many
`--rows` it shows whether memory and rate stay: the rate of the first and of the last tenth is given.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from uuid import UUID

import psycopg
from pydantic import SecretStr

from inbox import outbox
from inbox.dev.backends import Servers, servers
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.migrate import migrate
from tests.benchmarks.processes import parent_of, usage
from tests.benchmarks.publishing import publishing
from tests.e2e.launcher import environment
from tests.integration.relay.conftest import read_all
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import create_topic, unique_name

Seen = tuple[float, int]

PARTITIONS, PAYLOAD_BYTES, FILL_AT_ONCE = 12, 300, 500_000
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
        """Events a second from the first to the last that was recorded, CPU and peak memory of the relay, CPU of the
        database."""
        self._fill(rows)
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute("VACUUM ANALYZE inbox.outbox")
            postmaster = parent_of(connection.info.backend_pid)
            before = usage([postmaster])
            relay = self.relay()
            seen = list(self._until_sent(connection, rows))
            used, after = usage([relay.pid]), usage([postmaster])
            relay.terminate()
            relay.wait()
            row = connection.execute(RATE).fetchone()
        assert row
        return {
            "rows": rows,
            "events_per_second": round(float(row[0])),
            "first_tenth": rate_within(seen, 0, rows // 10),
            "last_tenth": rate_within(seen, rows - rows // 10, rows),
            "relay_cpu_us_per_event": round(1e6 * used.cpu_seconds / rows, 1),
            "database_cpu_us_per_event": round(1e6 * (after.cpu_seconds - before.cpu_seconds) / rows, 1),
            "relay_peak_mb": round(used.peak_megabytes),
        }

    def _fill(self, rows: int) -> None:
        with psycopg.connect(self.url, autocommit=True) as connection:
            for begun in range(0, rows, FILL_AT_ONCE):
                connection.execute(FILL, (self.topic, PAYLOAD_BYTES, min(FILL_AT_ONCE, rows - begun)))

    def _until_sent(self, connection: "psycopg.Connection[tuple[object, ...]]", rows: int) -> Iterator[Seen]:
        """What `sent_below` was when; counting the marks would cost as much as what is measured."""
        sent = 0
        while sent < rows:
            time.sleep(0.1)
            row = connection.execute("SELECT sent_below FROM inbox.outbox_relay").fetchone()
            sent = int(str(row[0])) if row else 0
            yield time.monotonic(), sent

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


def rate_within(seen: Sequence[Seen], begin: int, end: int) -> int:
    """Events a second between two positions."""
    within = [(moment, sent) for moment, sent in seen if begin < sent <= end]
    if len(within) < 2 or within[-1][0] == within[0][0]:
        return 0
    (began, first), (ended, last) = within[0], within[-1]
    return round((last - first) / (ended - began))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=300_000)
    parser.add_argument("--seconds", type=int, default=20)
    parser.add_argument("--rate", type=int, default=500)
    parser.add_argument("--only", default="", help="one measure by its name")
    given = parser.parse_args()
    measures: dict[str, tuple[list[str], Callable[[Bench], dict[str, float]]]] = {
        "latency": ([], lambda bench: bench.latency(given.rate, given.seconds)),
        "throughput": ([], lambda bench: bench.throughput(given.rows)),
        "throughput in transactions": (["--transactional"], lambda bench: bench.throughput(given.rows)),
        "publishing": ([], lambda bench: publishing(bench.url)),
    }
    with servers(progress=lambda text: print(text, file=sys.stderr)) as running, tempfile.TemporaryDirectory() as place:
        for name, (mode, measure) in measures.items():
            if given.only not in ("", name):
                continue
            bench = Bench(Path(place), running, mode)
            try:
                print(json.dumps({name: measure(bench)}), flush=True)
            finally:
                bench.close()


if __name__ == "__main__":
    main()
