"""One run of the real sink over claims that are there already, and what it cost."""

import json
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from pydantic import SecretStr

from inbox.dev.backends import Servers
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect
from inbox.store.schema.names import table_of
from tests.benchmarks.orders import TABLE, TABLE_ROUTE
from tests.benchmarks.processes import parent_of, usage, usage_until_the_end
from tests.benchmarks.throughput import INBOX, database
from tests.support.waiting import eventually

CONFIG = """
[sink]
name = "{name}"
[database]
url = "{url}"
[kafka]
"bootstrap.servers" = "{kafka}"
[retention]
claims = "{retention}"
[[routes]]
name = "orders"
topics = {topics}
event_id = "header:event_id"
{table}
"""
KEPT_LONG, KEPT_SHORTLY = "30d", "5m"
"""A sink looks for what to prune every 10 minutes, or every 3 seconds; another generation is due after 20."""

SETTLED = "SELECT coalesce(sum(next_offset - start_offset), 0)::bigint FROM inbox.partitions"
GIVES_UP_SECONDS = 600.0


@dataclass(frozen=True)
class Cost:
    """Of one run, without its start and the events that warm it up; CPU in microseconds and WAL in bytes an event."""

    events: int
    events_per_second: float
    worker_cpu: float
    server_cpu: float
    wal_bytes: float
    peak_megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.events_per_second:,.0f} events/s, CPU {self.worker_cpu:.1f} + {self.server_cpu:.1f} us, "
            f"WAL {self.wal_bytes:,.0f} B, {self.peak_megabytes:.0f} MB"
        )


class Ground:
    """A database of one sink; the topics are there before the first run, and each is filled before its own."""

    def __init__(self, running: Servers, name: str, topics: Sequence[str], url: str, directory: Path) -> None:
        self._running = running
        self._name = name.replace(" ", "-")
        self._topics = topics
        self._url = url
        self._directory = directory
        self.watcher = psycopg.connect(url, autocommit=True)
        self.watcher.execute(TABLE.encode())
        self._postmaster = parent_of(self.watcher.info.backend_pid)
        self.inbox("migrate")

    def close(self) -> None:
        self.watcher.close()

    def sink_connection(self) -> closing[Connection]:
        return closing(connect(DatabaseOptions(url=SecretStr(self._url))))

    def configuration(self, retention: str = KEPT_LONG) -> Path:
        config = self._directory / "inbox.toml"
        config.write_text(
            CONFIG.format(
                name=self._name,
                url=self._url,
                kafka=self._running.bootstrap_servers,
                retention=retention,
                topics=json.dumps(self._topics),
                table=TABLE_ROUTE,
            )
        )
        return config

    def inbox(self, *command: str, retention: str = KEPT_LONG) -> None:
        subprocess.run(
            [*INBOX, *command, "--config", str(self.configuration(retention))], check=True, capture_output=True
        )

    def run(self, events: int, *, warm_up: int = 0, retention: str = KEPT_LONG) -> Cost:
        """The sink over a topic that was filled with so many new events.

        What follows a checkpoint costs more, since every page is in the WAL whole once; `warm_up` events pay for that.
        """
        self.watcher.execute("TRUNCATE orders")
        self.watcher.execute("CHECKPOINT")
        before = self._number(SETTLED)
        command = [*INBOX, "run", "--until-end", "--config", str(self.configuration(retention))]
        with (self._directory / "log").open("wb") as log:
            process = subprocess.Popen(command, stderr=log)
        waited = _Waited(process)
        warm = before + warm_up
        eventually(lambda: self._number(SETTLED) > warm or waited.over, within=GIVES_UP_SECONDS, what="a first commit")
        began, worker, server = time.perf_counter(), usage([process.pid]), usage([self._postmaster])
        settled, wal = self._number(SETTLED) - before, self._wal()
        eventually(lambda: self._number(SETTLED) >= before + events or waited.over, within=GIVES_UP_SECONDS, what="all")
        seconds, worker_after = time.perf_counter() - began, usage([process.pid])
        server_after, wal_after = usage([self._postmaster]), self._wal()
        waited.end(self._directory / "log")
        self._verify(before + events, events)
        # Else autovacuum does so during the next case's run: with checksums, each page in the WAL whole.
        self.watcher.execute("VACUUM (ANALYZE)")
        counted = events - settled
        return Cost(
            events=events,
            events_per_second=counted / seconds,
            worker_cpu=(worker_after.cpu_seconds - worker.cpu_seconds) / counted * 1e6,
            server_cpu=(server_after.cpu_seconds - server.cpu_seconds) / counted * 1e6,
            wal_bytes=(wal_after - wal) / counted,
            peak_megabytes=waited.peak_megabytes,
        )

    def youngest(self) -> int:
        """The number of the generation that takes new claims."""
        return self._number("SELECT generation FROM inbox.sink")

    def claims_in(self, generation: int) -> int:
        table = sql.Identifier("inbox", table_of(generation))
        return self._number(sql.SQL("SELECT count(*) FROM ONLY {}").format(table).as_string(None))

    def sizes(self) -> int:
        """Bytes of the tables of claims, their indexes and their filters."""
        return self._number(
            "SELECT sum(pg_total_relation_size(oid))::bigint FROM pg_class WHERE relkind = 'r'"
            " AND relnamespace = 'inbox'::regnamespace AND relname ~ '^(processed|generation_filters)'"
        )

    def _wal(self) -> int:
        return self._number("SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")

    def _number(self, question: str) -> int:
        row = self.watcher.execute(question.encode()).fetchone()
        return int(row[0]) if row else 0

    def _verify(self, settled: int, events: int) -> None:
        rows, applied = (
            self._number("SELECT count(*) FROM orders"),
            self._number("SELECT sum(applied) FROM inbox.partitions"),
        )
        if rows != events or applied != self._number(SETTLED) or applied != settled:
            raise SystemExit(f"{self._name}: {rows} rows and {applied} applied, of {events} and {settled}")


class _Waited:
    """A process that is waited for on a thread, for the memory that it had at its peak."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process
        self._thread = threading.Thread(target=self._wait)
        self.over = False
        self.peak_megabytes = 0.0
        self._thread.start()

    def _wait(self) -> None:
        self.peak_megabytes = usage_until_the_end(self._process).peak_megabytes
        self.over = True

    def end(self, log: Path) -> None:
        self._thread.join(60)
        if not self.over or self._process.returncode != 0:
            raise SystemExit(f"the sink failed:\n{log.read_text()[-2000:]}")


@contextmanager
def ground(running: Servers, name: str, topics: Sequence[str]) -> Iterator[Ground]:
    """A database of its own, as long as it is entered."""
    with (
        database(running) as url,
        tempfile.TemporaryDirectory() as directory,
        closing(Ground(running, name, topics, url, Path(directory))) as made,
    ):
        yield made
