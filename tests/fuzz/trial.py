"""A sink under such events: `inbox run` in a process of its own, over a real Kafka and a real PostgreSQL."""

import secrets
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg
from confluent_kafka import Producer

from tests.benchmarks.throughput import INBOX
from tests.e2e.launcher import environment
from tests.fuzz.events import Sent
from tests.fuzz.model import LARGEST_EVENT, Model, NotJsonError, UnknownError, Verdict, as_text, document
from tests.support.kafka_topics import create_topic
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.watching_memory import MemoryWatch

ROUTES = """
[[routes]]
name = "rows"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.rows"
mode = "append"
[routes.table.columns]
"integer" = "/integer"
amount = "/number"
exact = "/number"
ratio = "/ratio"
flag = "/flag"
at = "/at"
day = "/day"
note = "/note"
part = "/part"
part_as_json = "/part"
numbers = "/numbers"
texts = "/texts"
code = "/code"
bytes = "/bytes"
uuid = "/uuid"
net = "/net"
span = "/span"
range = "/range"
first_part = "/part/0"
document = "$value"
key = "$key"
kind = "$header:kind"
sent_at = "$timestamp"
"offset" = "$offset"

[[routes]]
name = "facts"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.facts"
mode = "append"
[routes.table.columns]
"offset" = "$offset"
number = "/number"
text = "/text"
document = "$value"

[[routes]]
name = "states"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.states"
mode = "upsert"
key = ["id"]
tombstones = "delete"
[routes.table.columns]
id = "/id"
note = "/note"

[[routes]]
name = "newest"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.newest"
mode = "newest"
key = ["id"]
version = "version"
tombstones = "ignore"
[routes.table.columns]
id = "/id"
version = "/version"
note = "/note"

[[routes]]
name = "firsts"
topic = "TOPIC"
event_id = "value:/id"
event_type = "header:type"
[routes.table]
name = "public.firsts"
mode = "insert"
key = ["id"]
[routes.table.columns]
id = "/id"
type = "$type"
note = "/note"

[[routes]]
name = "handled"
topic = "TOPIC"
event_id = "coordinates"
event_type = "value:/type"
handler = "note"
"""
TABLES = """
CREATE TABLE rows ("integer" integer, amount numeric(10, 2), exact numeric, ratio double precision, flag boolean,
    at timestamptz, day date, note varchar(10), part jsonb, part_as_json json, numbers numeric[], texts text[],
    code char(3), bytes bytea, uuid uuid, net inet, span interval, range int4range, first_part text, document json,
    key text, kind text, sent_at timestamptz, "offset" bigint);
CREATE TABLE facts ("offset" bigint, number numeric, text text, document jsonb);
CREATE TABLE states (id text PRIMARY KEY, note text);
CREATE TABLE newest (id text PRIMARY KEY, version integer, note text);
CREATE TABLE firsts (id text PRIMARY KEY, type text, note text);
CREATE TABLE effects ("offset" bigint, id uuid, type text, text text, document jsonb);
"""
ALL = ("rows", "facts", "states", "newest", "firsts", "handled")

SETTLED_WITHIN = 600.0
WORKER_MEGABYTES = 200
"""100, eight times `batch_bytes`, and what the decoders of ids and handlers take for an event of 256 KiB."""

BACKEND_MEGABYTES = 200
_TROUBLE = ("waiting", "fenced", "partitions-paused")
"""Events of the log that no event of a topic may cause."""


class FuzzError(AssertionError):
    """Something that must not be, with the events that show it."""

    def __init__(self, what: str, events: Sequence[Sent] = ()) -> None:
        super().__init__(what)
        self.events = events


class Trial:
    """One sink for as long as the run lasts."""

    def __init__(self, bootstrap_servers: str, database_url: str, directory: Path) -> None:
        self._url = database_url
        self._directory = directory
        self.topic = create_topic(bootstrap_servers, message_timestamp_after_max_ms=2**63 - 1)
        self._producer = Producer({"bootstrap.servers": bootstrap_servers, "linger.ms": 20, "enable.idempotence": True})
        self._environment = environment(offer_handlers(directory / "packages", {"note": "tests.fuzz.handlers:note"}))
        self._config = write_configuration(
            directory / "inbox.toml",
            name=self.topic,
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            routes=ROUTES.replace("TOPIC", self.topic),
            sink=f'batch_bytes = "4 MiB"\nlargest_event = "{LARGEST_EVENT // 1024} KiB"',
            rest='[failures]\nattempts = 1\nhalt_above = 100000000\norder = "none"\nsame_id_other_payload = "count"',
        )
        self._log = directory / "log"
        self._sent = 0
        self.letters = self.applied = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._memory: MemoryWatch | None = None
        with psycopg.connect(database_url, autocommit=True) as connection:
            connection.execute(TABLES.encode())

    @contextmanager
    def running(self) -> Iterator["Trial"]:
        """With a worker; what it says in the end is checked."""
        with self._log.open("wb") as log:
            self._process = self._started("run", stderr=log)
        self._memory = MemoryWatch(self._process.pid, self._url)
        try:
            yield self
            self._require_untroubled()
        finally:
            self._memory.stop()
            self._process.terminate()
            self._process.wait(120)

    def _started(self, *arguments: str, **streams: Any) -> "subprocess.Popen[bytes]":
        command = [*INBOX, *arguments, "--config", str(self._config)]
        return subprocess.Popen(command, env=self._environment, cwd=Path(__file__).parents[2], **streams)

    def audit(self) -> None:
        """Every offset is accounted for."""
        with self._started("audit", stdout=subprocess.PIPE) as process:
            said, _ = process.communicate(timeout=600)
        if process.returncode != 0:
            raise FuzzError(f"the audit ended with {process.returncode}: {said.decode()[-2000:]}")

    @property
    def peaks(self) -> tuple[float, float]:
        """Of the worker and of a backend, in MB."""
        assert self._memory is not None
        return self._memory.worker, self._memory.backend

    def round(self, events: Sequence[Sent], stem: str) -> None:
        """Send the events of a round, and compare what became of them with the model. Raises FuzzError."""
        first = self._sent
        self._send(events)
        self._await_settled(events)
        self._compare(events, stem, first)
        self._require_untroubled(events)
        worker, backend = self.peaks
        if worker > WORKER_MEGABYTES or backend > BACKEND_MEGABYTES:
            raise FuzzError(f"the worker takes {worker:.0f} MB, a backend {backend:.0f} MB", events)

    def _send(self, events: Sequence[Sent]) -> None:
        refused: list[Any] = []
        for event in events:
            self._producer.produce(
                self.topic,
                event.value,
                event.key,
                headers=list(event.headers),
                timestamp=event.milliseconds,
                on_delivery=lambda error, _: refused.append(error) if error else None,
            )
            self._producer.poll(0)
        if self._producer.flush(120) or refused:
            raise FuzzError(f"Kafka did not take the events: {refused[:1]}", events)
        self._sent += len(events)

    def _await_settled(self, events: Sequence[Sent]) -> None:
        deadline = time.monotonic() + SETTLED_WITHIN
        while (reached := self._next_offset()) != self._sent:
            assert self._process is not None
            if self._process.poll() is not None:
                raise FuzzError(
                    f"the worker ended with {self._process.returncode} at {reached}: {self._last_words()}", events
                )
            if time.monotonic() > deadline:
                raise FuzzError(f"the worker stands at {reached} of {self._sent}: {self._last_words()}", events)
            time.sleep(0.02)

    def _next_offset(self) -> int:
        [row] = self._sql("SELECT coalesce(max(next_offset), 0) FROM inbox.partitions")
        return int(row[0])

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1500:]

    def _require_untroubled(self, events: Sequence[Sent] = ()) -> None:
        for line in self._log.read_text(errors="replace").splitlines():
            if any(f'"event": "{each}"' in line or f" {each} " in line for each in _TROUBLE):
                raise FuzzError(f"the worker was in trouble: {line}", events)

    def _sql(self, query: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with psycopg.connect(self._url, autocommit=True) as connection:
            return connection.execute(query.encode(), parameters).fetchall()

    # What became of them.

    def _compare(self, events: Sequence[Sent], stem: str, first: int) -> None:
        letters = self._letters(first)
        self._require_counted(events, letters)
        model = Model(stem).take(events)
        for (route, place), verdict in model.verdicts.items():
            parked = letters.get((route, first + place))
            if verdict in (Verdict.APPLIED, Verdict.FILTERED) and parked is not None:
                raise FuzzError(f"{route} parked an event that it can apply: {parked}", [events[place]])
            if verdict is Verdict.PARKED and parked is None:
                raise FuzzError(f"{route} did not park an event that it cannot apply", [events[place]])
        self._compare_facts(events, model, first)
        self._compare_rows(events, model)
        self._compare_handled(events, first)

    def _letters(self, first: int) -> dict[tuple[str, int], str]:
        query = (
            "SELECT r.name, d.kafka_offset, d.error FROM inbox.dead_letters AS d"
            " JOIN inbox.routes AS r USING (route_id) WHERE d.kafka_offset >= %s"
        )
        return {(name, offset): error for name, offset, error in self._sql(query, (first,))}

    def _require_counted(self, events: Sequence[Sent], letters: dict[tuple[str, int], str]) -> None:
        """Every event ended once on each route, and those that were not parked have a row where each writes one."""
        [(endings, parked)] = self._sql(
            "SELECT sum(applied + duplicate + filtered + dead_lettered), sum(dead_lettered) FROM inbox.partitions"
        )
        self.letters, self.applied = int(parked), int(endings - parked)
        if endings != len(ALL) * self._sent:
            raise FuzzError(f"{endings} endings of {len(ALL)} times {self._sent} events", events)
        by_route = Counter(route for route, _ in letters)
        for table, route in (("rows", "rows"), ("facts", "facts"), ("effects", "handled")):
            [(count,)] = self._sql(f'SELECT count(*) FROM {table} WHERE "offset" >= %s', (self._sent - len(events),))  # noqa: S608
            if count + by_route[route] != len(events):
                raise FuzzError(
                    f"{count} rows and {by_route[route]} dead letters of {len(events)} events in {table}", events
                )

    def _compare_facts(self, events: Sequence[Sent], model: Model, first: int) -> None:
        query = 'SELECT "offset", number::text, text, document::text FROM facts WHERE "offset" >= %s'
        found = {offset - first: rest for offset, *rest in self._sql(query, (first,))}
        for place, (number, text, whole) in model.facts.items():
            there = found[place]
            if _number(there[0]) != number or document(there[2].encode()) != whole or not _is_text(there[1], text):
                raise FuzzError("the row of facts is not what the event says", [events[place]])

    def _compare_rows(self, events: Sequence[Sent], model: Model) -> None:
        usual = {f"{model.stem}{number}" for number in range(10)}
        # A damaged event may have another id.
        followed = sorted(usual.union(model.states, model.newest, model.firsts))
        for table, known in (
            ("states", model.states),
            ("newest", {key: note for key, (_, note) in model.newest.items()}),
            ("firsts", model.firsts),
        ):
            rows = dict(self._sql(f"SELECT id, note FROM {table} WHERE id = ANY (%s)", (followed,)))  # noqa: S608
            for key in followed:
                if f"{table}:{key}" in model.unsure:
                    continue
                if (key in rows) != (key in known) or not _is_text(rows.get(key), known.get(key)):
                    raise FuzzError(f"the row {key} of {table} is not what the events say", events)
        versions = dict(self._sql("SELECT id, version FROM newest WHERE id = ANY (%s)", (followed,)))
        for key, (version, _) in model.newest.items():
            if f"newest:{key}" not in model.unsure and versions[key] != version:
                raise FuzzError(f"the row {key} of newest has another version", events)

    def _compare_handled(self, events: Sequence[Sent], first: int) -> None:
        query = 'SELECT "offset", text FROM effects WHERE "offset" >= %s'
        for offset, text in self._sql(query, (first,)):
            event = events[offset - first]
            try:
                whole = document(event.value or b"")
            except UnknownError:
                continue
            except NotJsonError as error:
                raise FuzzError("a handler was given a document that is none", [event]) from error
            expected = whole.get("text") if isinstance(whole, dict) else None
            if text != (expected if isinstance(expected, str) else None):
                raise FuzzError("a handler saw another text than the event has", [event])


def _number(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)


def _is_text(there: str | None, value: Any) -> bool:
    """Whether a column of type text holds the value, as far as the model says how it is written."""
    try:
        return there == as_text(value)
    except UnknownError:
        return there is not None


def stem() -> str:
    """What the ids of a round begin with, which no other round has."""
    return f"k{secrets.token_hex(3)}-"


def kept(events: Sequence[Sent], file: Path) -> None:
    """Write the events to a file of seeds."""
    file.write_text("".join(event.as_json() + "\n" for event in events))
