"""A sink in this process, with its own topic and database, and a view of what became of its events."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from confluent_kafka import Producer

from inbox.bootstrap.startup import prepare
from inbox.bootstrap.tracing.sink import SinkTracing
from inbox.bootstrap.worker import make_worker
from inbox.cli.program import result_of
from inbox.settings import Settings, load_settings
from inbox.sink.worker.loop import Worker
from tests.support.asking import ASKER
from tests.support.sinks import write_configuration
from tests.support.waiting import WITHIN_SECONDS, eventually

# A member notices a rebalance with its heartbeat.
QUICK = '"heartbeat.interval.ms" = 100'


@dataclass(frozen=True)
class Out:
    """An event for a producer to send; `id` becomes the header event_id."""

    id: int | None
    value: Any = field(default_factory=dict)
    key: str | bytes | None = None
    headers: Mapping[str, bytes | str | None] = field(default_factory=dict)
    partition: int = 0
    topic: str | None = None

    def send(self, producer: Producer, topic: str) -> None:
        identity = {} if self.id is None else {"event_id": str(UUID(int=self.id))}
        value = self.value if isinstance(self.value, bytes | None) else json.dumps(self.value)
        producer.produce(
            self.topic or topic, value, self.key, self.partition, headers=list({**identity, **self.headers}.items())
        )


class Sink:
    """A configured sink. `topic` in its routes' text stands for its topic."""

    def __init__(self, directory: Path, *, topic: str, database_url: str, bootstrap_servers: str, producer: Producer):
        self._directory = directory
        self.topic = topic
        self.database_url = database_url
        self.bootstrap_servers = bootstrap_servers
        self.name = topic
        self._producer = producer
        self._file: Path | None = None

    def configure(self, routes: str, *, sink: str = "", kafka: str = "", rest: str = "", **other: str) -> None:
        self._file = write_configuration(
            self._directory / f"{self.name}.toml",
            name=self.name,
            database_url=other.get("database_url", self.database_url),
            bootstrap_servers=self.bootstrap_servers,
            routes=routes.replace("TOPIC", self.topic),
            sink=sink,
            kafka=f"{QUICK}\n{kafka}",
            database=other.get("database", ""),
            rest=rest,
        )

    @property
    def file(self) -> Path | None:
        """Return the configuration file, once there is one."""
        return self._file

    def command(self, *arguments: str) -> int:
        """Run `inbox` with these arguments in this process, on this sink's configuration; return its exit code."""
        return result_of([*arguments, "--config", str(self._file)])

    def settings(self) -> Settings:
        return load_settings(config=self._file, flags={}, environ={}, cwd=self._directory)

    def worker(self, *, until_end: bool = False, tracing: SinkTracing | None = None) -> Worker:
        settings = self.settings()
        ready = prepare(settings, threading.Event())
        assert ready is not None
        return make_worker(settings, ready, until_end=until_end, tracing=tracing)

    def run(self, *, tracing: SinkTracing | None = None) -> None:
        """Run until the end of the log; raise the error that stops the sink."""
        self.worker(until_end=True, tracing=tracing).run()

    @contextmanager
    def running(self) -> Iterator[Worker]:
        """Run a worker on its own thread while the context lasts; raise at the end what stopped it."""
        worker = self.worker()
        stopped_by: list[BaseException] = []

        def run() -> None:
            try:
                worker.run()
            except BaseException as error:  # noqa: BLE001 - raised again where the test sees it
                stopped_by.append(error)

        # A worker that hangs fails its own test, and not the end of all of them.
        thread = threading.Thread(target=run, name="worker-under-test", daemon=True)
        thread.start()
        try:
            yield worker
        finally:
            worker.stop()
            thread.join(120)
        assert not thread.is_alive(), "the worker did not stop"
        if stopped_by:
            raise stopped_by[0]

    # The input.

    def send(self, *events: Out) -> None:
        """Send these events in this order; they are stored on return."""
        for event in events:
            event.send(self._producer, self.topic)
            self._producer.poll(0)
        assert self._producer.flush(120) == 0

    # The output.

    def sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return ASKER.rows(self.database_url, query, parameters)

    def column(self, query: str, parameters: Sequence[Any] = ()) -> list[Any]:
        return [row[0] for row in self.sql(query, parameters)]

    def endings(self) -> dict[str, int]:
        """Return the number of offsets for each ending, over all routes and partitions; numbers of 0 are left out."""
        [counts] = self.sql(
            "SELECT sum(applied), sum(duplicate), sum(filtered), sum(dead_lettered) FROM inbox.partitions"
        )
        names = ("applied", "duplicate", "filtered", "dead_lettered")
        return {name: int(count) for name, count in zip(names, counts, strict=True) if count}

    def next_offsets(self) -> dict[int, int]:
        return dict(self.sql("SELECT partition, next_offset FROM inbox.partitions ORDER BY partition"))

    def dead_letters(self) -> list[tuple[int, str]]:
        """Return the offset and state of each dead letter, in the order of offsets."""
        return [(row[0], row[1]) for row in self.sql("SELECT kafka_offset, state FROM inbox.dead_letters ORDER BY 1")]

    def dead_letter_errors(self) -> list[str]:
        return self.column("SELECT error FROM inbox.dead_letters ORDER BY kafka_offset")

    def dead_letter_details(self) -> list[str | None]:
        """Return the details of the errors, which are kept with the payload."""
        return self.column("SELECT error_detail FROM inbox.dead_letters ORDER BY kafka_offset")

    def eventually_settled(self, next_offset: int, *, partition: int = 0, within: float = WITHIN_SECONDS) -> None:
        eventually(
            lambda: self.next_offsets().get(partition) == next_offset,
            within=within,
            what=f"next_offset {next_offset} of {self.topic}[{partition}]",
        )

    def end_its_connection(self) -> None:
        """End the sink's connection as pg_terminate_backend does; return when the server has no session of it."""
        ours = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'kafka-inbox %%'"
        self.sql(f"SELECT pg_terminate_backend(pid) {ours}")
        eventually(lambda: not self.sql(f"SELECT pid {ours}"), what="the end of the sink's connection")


Effects = Callable[[], list[Any]]
