"""Who takes the same topic into the same table: this sink, what a user would pick instead, what people write first."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from inbox.dev.backends import Servers
from tests.benchmarks.connect import JdbcSink, jdbc_worker
from tests.benchmarks.formats import in_avro, in_envelope, in_protobuf, registry_of_orders, route_in
from tests.benchmarks.orders import BY_EVENT, EXIST, NEW, TABLE_ROUTE, Shape, value, value_with_schema
from tests.benchmarks.throughput import INBOX, migrated
from tests.support.sinks import offer_handlers

HANDLERS = {name: f"tests.benchmarks.handlers:{name}" for name in ("update", "upsert", "upsert_all", "upsert_many")}
PEERS_PYTHON = Path(os.environ.get("PEERS_PYTHON", ".venv-peers/bin/python"))
"""The interpreter of the environment that holds the peers' packages; see `make bench`."""


class ContenderError(Exception):
    """A contender ended early, did not do all of it in time, or wrote something else."""


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
    `bare` the records have no headers.
    """

    name: str
    start: Start
    share: float = 1.0
    encode: Callable[[int], bytes] = value
    bare: bool = False
    joined: str = "SELECT true"
    shape: Shape = NEW


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


def debezium(
    tasks: int,
    *,
    by_event: bool = False,
    unnest: bool = True,
    reduction_buffer: bool = True,
    schema_in_records: bool = False,
) -> Start:
    """The Debezium JDBC sink on Kafka Connect; what the options are says `JdbcSink`."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        connector = JdbcSink(
            ground.topic,
            ground.url,
            tasks,
            by_event=by_event,
            unnest=unnest,
            reduction_buffer=reduction_buffer,
            schema_in_records=schema_in_records,
        )
        with _connect(ground, connector) as pids:
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
        with _failing_with(connect.log):
            yield [connect.start()]
    finally:
        connect.close()


def loop(batch: int, *options: str) -> Start:
    """A plain psycopg loop: `executemany`, or one `execute` after the other; see `tests.benchmarks.loops`."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        command = [sys.executable, "-m", "tests.benchmarks.loops", ground.servers.bootstrap_servers, ground.topic]
        command += [ground.url, "--batch", str(batch), *options]
        with _process(command, ground.directory, dict(os.environ)) as pid:
            yield [pid]

    return start


def peer(module: str, batch: int) -> Start:
    """A module that runs on the peers' own packages."""

    @contextmanager
    def start(ground: Ground) -> Iterator[Sequence[int]]:
        command = [str(PEERS_PYTHON), "-m", module, ground.servers.bootstrap_servers, ground.topic, ground.url]
        with _process([*command, str(batch)], ground.directory, dict(os.environ)) as pid:
            yield [pid]

    return start


@contextmanager
def _process(command: Sequence[str], directory: Path, environ: dict[str, str]) -> Iterator[int]:
    path = directory / "log"
    with path.open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environ)
        try:
            with _failing_with(path.read_text):
                yield process.pid
                if process.poll() is not None:
                    raise ContenderError(f"it ended by itself: {process.returncode}")
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(60)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _failing_with(log: Callable[[], str]) -> Iterator[None]:
    """Add the end of its log to what is said of a contender that fails."""
    try:
        yield
    except (AssertionError, ContenderError) as error:
        raise ContenderError(f"{error}\n{log()[-3000:]}") from error


_PER_EVENT = 'handler = "upsert"'
_UPDATE = 'handler = "update"'
_PER_BATCH = 'handler = "upsert_all"'
_IN_ENVELOPES = f'envelope = "debezium"\n{TABLE_ROUTE}'

OURS = "kafka-inbox, table route"
WITHOUT_CLAIMS = f"{OURS}, without claims"
AVRO, PROTOBUF = f"{OURS}, Avro", f"{OURS}, Protobuf"
ENVELOPED = f"{OURS}, Debezium's envelope"
HANDLER, BATCH_HANDLER = "kafka-inbox, handler per event", "kafka-inbox, handler per batch"
SET_BASED = f"{BATCH_HANDLER}, upsert_many"
HANDLER_WITHOUT_CLAIMS = f"{HANDLER}, without claims"
UPDATE_HANDLER, UPDATE_HANDLER_WITHOUT_CLAIMS = f"{HANDLER}, UPDATE", f"{HANDLER}, UPDATE, without claims"
PEER = "Debezium JDBC sink, 1 task"
PEER_IN_AVRO = f"{PEER}, Avro"
PEER_OF_FOUR = "Debezium JDBC sink, 4 tasks"
IN_RECORDS = ", schema in records"
QUIX, FASTSTREAM = "Quix Streams PostgreSQL sink", "FastStream, executemany of 5,000"
LOOP = "psycopg loop, executemany of 5,000"
LOOP_OF_UPDATES = f"{LOOP}, UPDATE"
LOOP_ONE_BY_ONE = "psycopg loop, execute, 5,000 a transaction"

CONTENDERS = [
    Contender(OURS, sink(TABLE_ROUTE)),
    Contender(WITHOUT_CLAIMS, sink(TABLE_ROUTE, event_id="coordinates")),
    Contender(f"{OURS}{EXIST.suffix}", sink(TABLE_ROUTE), shape=EXIST),
    Contender(f"{WITHOUT_CLAIMS}{EXIST.suffix}", sink(TABLE_ROUTE, event_id="coordinates"), shape=EXIST),
    Contender(f"{OURS}, 2 workers", sink(TABLE_ROUTE, workers=2), 2.0, joined=_TWO_JOINED),
    Contender(f"{OURS}, 4 workers", sink(TABLE_ROUTE, workers=4), 2.0, joined=_FOUR_JOINED),
    Contender(AVRO, sink_in("avro"), encode=in_avro),
    Contender(PROTOBUF, sink_in("protobuf"), encode=in_protobuf),
    Contender(ENVELOPED, sink(_IN_ENVELOPES, event_id="debezium"), encode=in_envelope, bare=True),
    Contender(HANDLER, sink(_PER_EVENT), 0.4),
    Contender(HANDLER_WITHOUT_CLAIMS, sink(_PER_EVENT, event_id="coordinates"), 0.4),
    Contender(f"{HANDLER}, 2 workers", sink(_PER_EVENT, workers=2), 0.8, joined=_TWO_JOINED),
    Contender(UPDATE_HANDLER, sink(_UPDATE), 0.4, shape=EXIST),
    Contender(UPDATE_HANDLER_WITHOUT_CLAIMS, sink(_UPDATE, event_id="coordinates"), 0.4, shape=EXIST),
    Contender(BATCH_HANDLER, sink(_PER_BATCH), 0.4),
    Contender(SET_BASED, sink('handler = "upsert_many"'), 0.4),
    Contender(f"{PEER}{BY_EVENT.suffix}", debezium(1, by_event=True), shape=BY_EVENT),
    Contender(f"{PEER}{BY_EVENT.suffix}, without UNNEST", debezium(1, by_event=True, unnest=False), shape=BY_EVENT),
    Contender(
        f"{PEER}{BY_EVENT.suffix}, without reduction buffer",
        debezium(1, by_event=True, reduction_buffer=False),
        shape=BY_EVENT,
    ),
    Contender(f"{PEER_OF_FOUR}{BY_EVENT.suffix}", debezium(4, by_event=True), 2.0, shape=BY_EVENT),
    Contender(PEER, debezium(1)),
    Contender(PEER_OF_FOUR, debezium(4), 2.0),
    Contender(f"{PEER}{EXIST.suffix}", debezium(1), shape=EXIST),
    Contender(f"{PEER_OF_FOUR}{EXIST.suffix}", debezium(4), 2.0, shape=EXIST),
    Contender(PEER_IN_AVRO, debezium_in_avro(1), encode=in_avro),
    Contender(f"{PEER}{IN_RECORDS}", debezium(1, schema_in_records=True), encode=value_with_schema),
    Contender(f"{PEER_OF_FOUR}{IN_RECORDS}", debezium(4, schema_in_records=True), 2.0, value_with_schema),
    Contender(QUIX, peer("tests.benchmarks.quix", 5000), 0.4),
    Contender(FASTSTREAM, peer("tests.benchmarks.fast_stream", 5000), 0.4),
    Contender(LOOP, loop(5000), 0.4),
    Contender(LOOP_OF_UPDATES, loop(5000, "--update"), 0.4, shape=EXIST),
    Contender(LOOP_ONE_BY_ONE, loop(5000, "--one-by-one"), 0.1),
    Contender("psycopg loop, execute, 1 a transaction", loop(1, "--one-by-one"), 0.01),
]
