"""A sink under test: the real `inbox run`, on topics and in a database of the test's own."""

import json
import secrets
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
import psycopg
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from psycopg import sql
from psycopg.rows import dict_row

from inbox.events import new_event_id
from inbox.failpoints import Failpoint
from inbox.testing.connections import MOVED
from inbox.testing.launcher import KILLED, Launcher

PARTITION_UA = -1
"""librdkafka's word for a partition that the key decides."""

Value = bytes | dict[str, Any] | list[Any] | None


@dataclass(frozen=True)
class ParkedEvent:
    """A parked event, as the sink keeps it."""

    event_id: UUID | None
    error: str
    value: bytes | None
    state: str


class SinkUnderTest:
    """A sink with a configuration like the real one; its topics, database and group are the test's own.

    Attributes:
        config: the file that the sink runs with.
        topics: the real name of each topic of the configuration.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        *,
        bootstrap_servers: str,
        database_url: str,
        directory: Path,
        launcher: Launcher,
        path: Sequence[str] = (),
        partitions: int = 1,
    ) -> None:
        import tomli_w

        directory.mkdir(parents=True, exist_ok=True)
        self._servers, self._url, self._launcher = bootstrap_servers, database_url, launcher
        self._path = list(path)
        self._log, self._connections = directory / "log", directory / "connections"
        suffix = secrets.token_hex(5)
        names = sorted({name for route in config.get("routes", []) for name in _topics_of(route)})
        self.topics = {name: f"{name}-{suffix}" for name in names}
        document = _isolated(config, self.topics, f"test-{suffix}", database_url, bootstrap_servers)
        self.config = directory / "inbox.toml"
        self.config.write_text(tomli_w.dumps(document))
        self._schema = str(document["database"].get("schema", "inbox"))
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "enable.idempotence": True})
        self._admin = AdminClient({"bootstrap.servers": bootstrap_servers})
        self._create_topics(partitions)
        self._inbox("migrate")

    def produce(
        self,
        value: Value,
        *,
        topic: str | None = None,
        key: str | bytes | None = None,
        headers: Mapping[str, str | bytes] | None = None,
        event_id: UUID | str | None = None,
        partition: int | None = None,
    ) -> str:
        """Produce one event and return its id.

        A dict or a list is written as JSON. `topic` is a name of the configuration; it may be left out if
        there is one. Without `event_id` the event has a new one, in the header `event_id`.
        """
        found = str(event_id or new_event_id())
        given = {"event_id": found, **(headers or {})}
        payload = orjson.dumps(value) if isinstance(value, dict | list) else value
        chosen = PARTITION_UA if partition is None else partition
        self._producer.produce(self._topic(topic), payload, key=key, headers=list(given.items()), partition=chosen)
        if self._producer.flush(30) != 0:
            raise TimeoutError("Kafka did not accept the event within 30 s")
        return found

    def until_settled(self) -> None:
        """Run the sink until it has reached the end of each topic.

        Raises:
            AssertionError: it ended with another exit code than 0; the message has the end of its log.
        """
        self._inbox("run", "--until-end")

    def kill(self, at: str, *, hit: int = 1) -> None:
        """Run the sink and kill it, as SIGKILL does, the `hit`-th time that it reaches a step of its transaction.

        The steps are those of `inbox.failpoints`: `begun`, `claimed`, `handled`, `fenced`, `commit-sent`, ...

        Raises:
            AssertionError: the sink ended without reaching the step.
        """
        code = self._run("run", "--until-end", kill={"at": Failpoint(at).value, "hit": hit})
        if code != KILLED:
            raise AssertionError(f"the sink ended with {code} before it reached {at!r}\n{self.log_tail()}")

    def replay(self, *, mode: str = "force") -> None:
        """Apply all events again, as `inbox replay --from-earliest` does."""
        for name in self.topics.values():
            self._inbox("replay", "--topic", name, "--from-earliest", "--mode", mode, "--execute")
        self.until_settled()

    def rows(self, table: str, *, order_by: str | None = None) -> list[dict[str, Any]]:
        """Return the rows of a table as dicts, ordered by a column, or else by their text."""
        order = sql.SQL("t::text") if order_by is None else sql.Identifier(order_by)
        query = sql.SQL("SELECT * FROM {} AS t ORDER BY {}").format(sql.Identifier(*table.split(".")), order)
        with psycopg.connect(self._url) as connection:
            return connection.cursor(row_factory=dict_row).execute(query).fetchall()

    def tables(self) -> list[str]:
        """Return the tables of the database that are not the inbox's own, with their schemas."""
        query = (
            "SELECT table_schema || '.' || table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' "
            "AND table_schema NOT IN ('pg_catalog', 'information_schema', %s) ORDER BY 1"
        )
        with psycopg.connect(self._url) as connection:
            return [row[0] for row in connection.execute(query, (self._schema,))]

    def columns_of_sequences(self, table: str) -> list[str]:
        """Return the columns of a table that a sequence fills: identity columns, and serial ones."""
        query = (
            "SELECT column_name FROM information_schema.columns WHERE table_schema || '.' || table_name = %s "
            "AND (is_identity = 'YES' OR column_default LIKE 'nextval(%%')"
        )
        with psycopg.connect(self._url) as connection:
            return [row[0] for row in connection.execute(query, (table,))]

    def dead_letters(self) -> list[ParkedEvent]:
        """Return the open dead letters, in the order in which they were parked."""
        query = sql.SQL(
            "SELECT event_id, error, value, state FROM {} WHERE state IN ('parked', 'waiting') ORDER BY dead_letter_id"
        ).format(sql.Identifier(self._schema, "dead_letters"))
        with psycopg.connect(self._url) as connection:
            return [ParkedEvent(*row) for row in connection.execute(query)]

    def audit(self) -> dict[str, Any]:
        """Return the answer of `inbox audit --json`: every offset accounted for, or missing."""
        self._log.write_bytes(b"")
        code = self._run("audit", "--json")
        if code not in (0, 1):
            raise AssertionError(self.log_tail())
        return dict(json.loads(self._log.read_text().strip().splitlines()[-1]))

    def connections_of_handlers(self) -> list[str]:
        """Return what connections handlers opened while they ran: each is outside of their transaction."""
        return [line for line in self._notes() if not line.startswith(MOVED)]

    def moved_search_paths(self) -> list[str]:
        """Return the search paths that handlers left behind."""
        return [line.removeprefix(MOVED) for line in self._notes() if line.startswith(MOVED)]

    def _notes(self) -> list[str]:
        return self._connections.read_text().splitlines() if self._connections.exists() else []

    def log_tail(self) -> str:
        """Return the end of the sink's log."""
        return self._log.read_text(errors="replace")[-3000:] if self._log.exists() else ""

    def close(self) -> None:
        """Delete the topics, without waiting until all brokers have forgotten them: no name is used twice."""
        for future in self._admin.delete_topics(list(self.topics.values())).values():
            future.result(20)

    def _topic(self, name: str | None) -> str:
        if name is None and len(self.topics) != 1:
            raise ValueError(f"several topics are configured; name one of {', '.join(self.topics)}")
        return self.topics[name] if name is not None else next(iter(self.topics.values()))

    def _create_topics(self, partitions: int) -> None:
        wanted = [NewTopic(name, partitions, 1) for name in self.topics.values()]
        for future in (self._admin.create_topics(wanted, operation_timeout=10) if wanted else {}).values():
            future.result(20)

    def _inbox(self, *arguments: str) -> None:
        code = self._run(*arguments)
        if code != 0:
            raise AssertionError(f"inbox {' '.join(arguments)} ended with {code}\n{self.log_tail()}")

    def _run(self, *arguments: str, kill: dict[str, object] | None = None) -> int:
        with_config = [*arguments, "--config", str(self.config)]
        return self._launcher.run(
            with_config, log=self._log, environment={}, path=self._path, kill=kill, connections=self._connections
        )


def _topics_of(route: Mapping[str, Any]) -> Iterable[str]:
    return route.get("topics") or [route["topic"]]


def _isolated(
    config: Mapping[str, Any], topics: Mapping[str, str], group: str, database_url: str, bootstrap_servers: str
) -> dict[str, Any]:
    """Return the configuration for the test's servers; what guards production elsewhere is left out."""
    document: dict[str, Any] = {name: section for name, section in config.items() if name not in ("http", "routes")}
    document["sink"] = {"name": group, **config.get("sink", {})}
    document["database"] = {**config.get("database", {}), "url": database_url}
    document["kafka"] = {"bootstrap.servers": bootstrap_servers, "group.id": group, "session.timeout.ms": 6000}
    document["routes"] = [_renamed(route, topics) for route in config.get("routes", [])]
    return document


def _renamed(route: Mapping[str, Any], topics: Mapping[str, str]) -> dict[str, Any]:
    found = dict(route)
    if "topic" in found:
        found["topic"] = topics[found["topic"]]
    if "topics" in found:
        found["topics"] = [topics[name] for name in found["topics"]]
    return found


def offer(directory: Path, name: str, target: str) -> Path:
    """Make a directory that, on `sys.path`, looks like an installed package with one handler."""
    info = directory / "handlers_under_test-1.0.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: handlers-under-test\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[inbox.handlers]\n{name} = {target}\n")
    return directory


def importable(handler: Callable[..., Any]) -> str:
    """Return `module:name` of a handler; raise ValueError if another process could not import it."""
    module, name = handler.__module__, handler.__qualname__
    if "<locals>" in name or module == "__main__":
        raise ValueError(f"{name} cannot be imported by the sink's process; define it at the top of a module")
    return f"{module}:{name}"
