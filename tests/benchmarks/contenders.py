"""Who takes the same topic into the same table: this sink, what a user would pick instead, what people write first."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbox.dev.backends import Servers
from tests.benchmarks.connect import JdbcSink, jdbc_worker
from tests.benchmarks.formats import in_avro, in_envelope, in_protobuf, registry_of_orders, route_in
from tests.benchmarks.orders import TABLE_ROUTE, value, value_with_schema
from tests.benchmarks.throughput import INBOX, migrated
from tests.support.sinks import offer_handlers

HANDLERS = {name: f"tests.benchmarks.handlers:{name}" for name in ("upsert", "upsert_all", "upsert_many")}
PEERS_PYTHON = Path(os.environ.get("PEERS_PYTHON", ".venv-peers/bin/python"))
"""The interpreter of the environment that holds the peers' packages; see `make bench`."""


@dataclass(frozen=True)
class Ground:
    """What a contender works on."""

    servers: Servers
    topic: str
    url: str
    directory: Path

    def migrated(self, route: str, event_id: str = "header:event_id") -> Path:
        return migrated(self.servers, self.topic, self.url, self.directory, route, event_id)


Start = Callable[[Ground], AbstractContextManager[Sequence[int]]]
"""Starts a contender and gives its process ids; it ends with the context."""


@dataclass(frozen=True)
class Contender:
    """`share` of the events is enough for one that is slow. Several workers want more, since it takes them seconds to
    divide the partitions among them: `joined` asks whether they have. `encode` makes the values that it can read; with
    `bare` the records have no headers. With `updates` each event's row is there already.
    """

    name: str
    start: Start
    share: float = 1.0
    encode: Callable[[int], bytes] = value
    bare: bool = False
    joined: str = "SELECT true"
    updates: bool = False


_TWO_JOINED = "SELECT count(DISTINCT owner) = 2 FROM inbox.partitions"
_FOUR_JOINED = "SELECT count(DISTINCT owner) = 4 FROM inbox.partitions"


def sink(route: str, *, workers: int = 1, event_id: str = "header:event_id") -> Start:
    """`inbox run`; with `event_id` "coordinates" it keeps no claims."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        config = ground.migrated(route, event_id)
        packages = offer_handlers(ground.directory / "packages", HANDLERS)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join([str(packages), os.environ.get("PYTHONPATH", "."), "."])}
        command = [*INBOX, "run", "--workers", str(workers), "--config", str(config)]
        with _process(command, ground.directory, environ) as pid:
            yield [pid]

    return start


def sink_in(form: str) -> Start:
    """`inbox run` of a route in a format with a registry."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        with route_in(form) as route, sink(route)(ground) as pids:
            yield pids

    return start


def debezium(tasks: int, *, schema_in_records: bool = False) -> Start:
    """The Debezium JDBC sink on Kafka Connect."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        with _connect(ground, JdbcSink(ground.topic, ground.url, tasks, schema_in_records)) as pids:
            yield pids

    return start


def debezium_in_avro(tasks: int) -> Start:
    """The Debezium JDBC sink with Apicurio's converter for Avro, and a registry in memory as `sink_in` has."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        with registry_of_orders() as url:
            connector = JdbcSink(ground.topic, ground.url, tasks, registry_url=f"{url}/apis/registry/v2")
            with _connect(ground, connector) as pids:
                yield pids

    return start


@contextmanager
def _connect(ground: Ground, connector: JdbcSink) -> Iterator[Sequence[int]]:
    connect = jdbc_worker(ground.servers.bootstrap_servers, connector.properties())
    try:
        yield [connect.start()]
    finally:
        connect.close()


def loop(batch: int, *, one_by_one: bool = False) -> Start:
    """A plain psycopg loop: `executemany`, or one `execute` after the other."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        command = [sys.executable, "-m", "tests.benchmarks.loops", ground.servers.bootstrap_servers, ground.topic]
        command += [ground.url, "--batch", str(batch), *(["--one-by-one"] if one_by_one else [])]
        with _process(command, ground.directory, dict(os.environ)) as pid:
            yield [pid]

    return start


def quix(batch: int) -> Start:
    """Quix Streams with its PostgreSQL sink, on packages of its own."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        script = str(Path(__file__).with_name("quix.py"))
        command = [str(PEERS_PYTHON), script, ground.servers.bootstrap_servers, ground.topic, ground.url, str(batch)]
        with _process(command, ground.directory, dict(os.environ)) as pid:
            yield [pid]

    return start


@contextmanager
def _process(command: Sequence[str], directory: Path, environ: dict[str, str]) -> Iterator[int]:
    with (directory / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
        try:
            yield process.pid
            if process.poll() is not None:
                raise SystemExit(f"{command} ended:\n{(directory / 'log').read_text()[-2000:]}")
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)


_PER_EVENT = 'handler = "upsert"'
_PER_BATCH = 'handler = "upsert_all"'
_IN_ENVELOPES = f'envelope = "debezium"\n{TABLE_ROUTE}'

OURS = "kafka-inbox, table route"
WITHOUT_CLAIMS = f"{OURS}, without claims"
AVRO, PROTOBUF = f"{OURS}, Avro", f"{OURS}, Protobuf"
ENVELOPED = f"{OURS}, Debezium's envelope"
SET_BASED = "kafka-inbox, handler per batch, upsert_many"
PEER = "Debezium JDBC sink, 1 task"
PEER_IN_AVRO = f"{PEER}, Avro"
PEER_OF_TWO = "Debezium JDBC sink, 4 tasks"
UPDATES = ", rows that exist"
CONTENDERS = [
    Contender(OURS, sink(TABLE_ROUTE)),
    Contender(WITHOUT_CLAIMS, sink(TABLE_ROUTE, event_id="coordinates")),
    Contender(f"{OURS}{UPDATES}", sink(TABLE_ROUTE), updates=True),
    Contender(f"{WITHOUT_CLAIMS}{UPDATES}", sink(TABLE_ROUTE, event_id="coordinates"), updates=True),
    Contender(f"{OURS}, 2 workers", sink(TABLE_ROUTE, workers=2), 2.0, joined=_TWO_JOINED),
    Contender(f"{OURS}, 4 workers", sink(TABLE_ROUTE, workers=4), 2.0, joined=_FOUR_JOINED),
    Contender(AVRO, sink_in("avro"), encode=in_avro),
    Contender(PROTOBUF, sink_in("protobuf"), encode=in_protobuf),
    Contender(ENVELOPED, sink(_IN_ENVELOPES, event_id="debezium"), encode=in_envelope, bare=True),
    Contender("kafka-inbox, handler per event", sink(_PER_EVENT), 0.4),
    Contender("kafka-inbox, handler per event, 2 workers", sink(_PER_EVENT, workers=2), 0.8, joined=_TWO_JOINED),
    Contender("kafka-inbox, handler per batch", sink(_PER_BATCH), 0.4),
    Contender(SET_BASED, sink('handler = "upsert_many"'), 0.4),
    Contender(PEER, debezium(1)),
    Contender(f"{PEER}{UPDATES}", debezium(1), updates=True),
    Contender(PEER_IN_AVRO, debezium_in_avro(1), encode=in_avro),
    Contender(PEER_OF_TWO, debezium(4), 2.0),
    Contender(f"{PEER}, schema in records", debezium(1, schema_in_records=True), encode=value_with_schema),
    Contender(f"{PEER_OF_TWO}, schema in records", debezium(4, schema_in_records=True), 2.0, value_with_schema),
    Contender("Quix Streams PostgreSQL sink", quix(5000), 0.4),
    Contender("psycopg loop, executemany of 5,000", loop(5000), 0.4),
    Contender("psycopg loop, execute, 5,000 a transaction", loop(5000, one_by_one=True), 0.1),
    Contender("psycopg loop, execute, 1 a transaction", loop(1, one_by_one=True), 0.01),
]
