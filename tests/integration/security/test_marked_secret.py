"""What is in an event stays where payloads are, whichever way the event fails: everything else is searched for it.

Three marks, since a key and a type may be seen where a value may not: lists and plans of dead letters name them.
"""

import json
import secrets
import signal
import subprocess
import sys
import threading
import time
from base64 import b64decode
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType
from psycopg import sql

from inbox.cli.program import result_of
from inbox.dev.ports import free_port
from inbox.outbox import publish
from tests.conftest import MakeTopic
from tests.e2e.launcher import ROOT, environment
from tests.support import raw_headers
from tests.support.kafka_topics import CLIENT, admin, idempotent_producer, read_committed
from tests.support.marked import COLUMNS, DIES, RAISED, ROWS, STATEMENTS, TABLES
from tests.support.pages import get
from tests.support.sinks import offer_handlers, write_configuration
from tests.support.waiting import eventually

MARK = "tell" + secrets.token_hex(8)
KEY = "key" + secrets.token_hex(8)
TYPE = "type" + secrets.token_hex(8)
MARKS = (MARK, KEY, TYPE)

ROUTES = """
[[routes]]
name = "handled"
topic = "{handled}"
event_id = "header:event_id"
event_type = "header:type"
handler = "marked"

[[routes]]
name = "written"
topic = "{written}"
event_type = "header:type"
[routes.table]
name = "public.marked"
mode = "insert"
key = ["id"]
[routes.table.columns]
{columns}

[[routes]]
name = "read"
topic = "{read}"
event_id = "value:/id"
event_type = "value:/type"
[routes.table]
name = "public.marked"
mode = "insert"
key = ["id"]
[routes.table.columns]
id = "/id"
required = "/required"
"""
REST = """
[failures]
attempts = 1
wait_for_rows = "0s"
copy_to = "{copies}"
[outbox]
[http]
listen = "127.0.0.1:{port}"
"""
PAYLOAD = {"dead_letters": {"key", "type", "value", "headers", "error_detail"}, "outbox": {"aggregate_id", "payload"}}
"""The columns that hold what an event has; of a copy in the outbox the test looks at each member."""


@dataclass
class Heard:
    """What was said by processes, and seen of them, by whom."""

    said: dict[str, str] = field(default_factory=dict)

    def by(self, who: str, text: str) -> None:
        self.said[who] = self.said.get(who, "") + text

    def with_a_mark(self, marks: Sequence[str]) -> list[str]:
        """Each of those who said a mark, with some of what is around it."""
        return [
            f"{who}: ...{text[max(0, text.index(mark) - 200) : text.index(mark) + 60]}"
            for who, text in self.said.items()
            for mark in marks
            if mark in text
        ]


class Process:
    """One of `inbox`; what it writes goes to files, since nobody reads along."""

    def __init__(self, command: Sequence[str], variables: Mapping[str, str], directory: Path) -> None:
        self._files = [(directory / f"{secrets.token_hex(8)}.out").open("w+") for _ in range(2)]
        out, err = self._files
        self._process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=out, stderr=err)

    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self._process.poll() is not None

    def stop(self) -> None:
        """Ask it to end in order."""
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> tuple[int, str, str]:
        """Wait for its end; the exit code, stdout and stderr."""
        try:
            code = self._process.wait(120)
        finally:
            self._process.kill()
        said = []
        for file in self._files:
            with file:
                file.seek(0)
                said.append(file.read())
        return code, said[0], said[1]


class Marked:
    """A sink whose events all fail, and everything that it says."""

    def __init__(
        self,
        directory: Path,
        capture: pytest.CaptureFixture[str],
        *,
        database_url: str,
        bootstrap_servers: str,
        make_topic: MakeTopic,
    ) -> None:
        self._capture = capture
        self._directory = directory
        self.database_url = database_url
        self.bootstrap_servers = bootstrap_servers
        self.topics = {name: make_topic() for name in ("handled", "written", "read", "copies")}
        self.port = free_port()
        self.heard = Heard()
        self.name = self.topics["handled"]
        columns = "\n".join(f'{name} = "/{name}"' for name in COLUMNS)
        self._packages = offer_handlers(directory / "packages", {"marked": "tests.support.marked:handle"})
        self._config = write_configuration(
            directory / "inbox.toml",
            name=self.name,
            database_url=database_url,
            bootstrap_servers=bootstrap_servers,
            sink='largest_event = "64 KiB"',
            kafka='"debug" = "msg,cgrp,topic"',
            routes=ROUTES.format(columns=columns, **self.topics),
            rest=REST.format(copies=self.topics["copies"], port=self.port),
        )
        self._producer = idempotent_producer(bootstrap_servers)
        self._sent = 0
        self._offsets = Counter[str]()
        with psycopg.connect(database_url) as connection:
            connection.execute(TABLES.encode())
            connection.execute("INSERT INTO marked (id, required, once, alone) VALUES (0, 'x', %s, %s)", (MARK, MARK))

    def start(self, *arguments: str, **variables: str) -> "Process":
        return Process(
            [sys.executable, "-P", "-m", "inbox", *arguments, "--config", str(self._config)],
            environment(self._packages, **variables),
            self._directory,
        )

    def command(self, *arguments: str, code: int | None = 0, marks_in_plans: bool = False, **variables: str) -> str:
        """Run a command to its end and return its stdout; `marks_in_plans`: it may name keys and types there."""
        returned, out, err = self.start(*arguments, **variables).end()
        self._note(arguments, returned, out, err, code=code, marks_in_plans=marks_in_plans)
        return out

    def ask(self, *arguments: str, code: int | None = 0, marks_in_plans: bool = False, typed: bool = False) -> None:
        """Run a command that calls no handler, in this process, which takes less time."""
        self._capture.readouterr()
        returned = result_of([*arguments, "--config", str(self._config)])
        said = self._capture.readouterr()
        # The person who typed a mark may see it.
        out, err = (each.replace(MARK, "") if typed else each for each in said)
        arguments = tuple(each.replace(MARK, "") for each in arguments)
        self._note(arguments, returned, out, err, code=code, marks_in_plans=marks_in_plans)

    def _note(
        self, arguments: Sequence[str], returned: int, out: str, err: str, *, code: int | None, marks_in_plans: bool
    ) -> None:
        assert code in (None, returned), f"{arguments}: {returned}\n{out[-5000:]}\n{err[-5000:]}"
        who = " ".join(arguments)
        self.heard.by(f"{who}: stderr", err)
        self.heard.by(f"{who}: stdout", out.replace(KEY, "").replace(TYPE, "") if marks_in_plans else out)

    def send(
        self, where: str, value: bytes | None, *, id_: bytes | None = None, key: str | None = None
    ) -> tuple[str, int]:
        """Send an event whose key, type, header and name of a header are marked; the topic and the offset."""
        self._sent += 1
        headers: list[tuple[str, str | bytes | None]] = [("type", TYPE), (f"{MARK}-name", MARK), ("tracestate", MARK)]
        headers.append(("traceparent", f"00-{MARK}-01"))
        if id_ != b"":
            headers.append(("event_id", id_ or f"{MARK}-{self._sent}"))
        self._producer.produce(self.topics[where], value, key or f"{KEY}-{self._sent}", headers=headers)
        assert self._producer.flush(120) == 0
        self._offsets[where] += 1
        return self.topics[where], self._offsets[where] - 1

    def ends(self) -> dict[str, int]:
        """How far each topic goes."""
        consumer = Consumer({**CLIENT, "bootstrap.servers": self.bootstrap_servers, "group.id": self.name})
        try:
            return {
                name: consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=120)[1]
                for name, topic in self.topics.items()
                if name != "copies"
            }
        finally:
            consumer.close()

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def is_settled(self, ends: dict[str, int]) -> bool:
        found = dict(self.rows("SELECT topic, next_offset FROM inbox.partitions"))
        return all(found.get(self.topics[name]) == end for name, end in ends.items())

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Look again and again at what others see of a sink: activity, arguments, metrics."""
        over = threading.Event()
        thread = threading.Thread(target=self._watch, args=(over,))
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(120)

    def _watch(self, over: threading.Event) -> None:
        activity = "SELECT query, application_name FROM pg_stat_activity WHERE datname = current_database()"
        seen: set[str] = set()
        while not over.is_set():
            for row in self.rows(activity):
                seen.update(map(str, row))
            seen.add(get(self.port, "metrics")[1])
            for process in Path("/proc").glob("[0-9]*/cmdline"):
                with suppress(OSError):
                    seen.add(process.read_bytes().decode(errors="replace"))
            time.sleep(0.1)
        self.heard.by("activity, metrics and arguments of processes", "\n".join(seen))


def _event(how: str, *, bad: bool = True) -> bytes:
    return json.dumps({"how": how, "mark": MARK, MARK: MARK, "bad": bad}).encode()


def _row(number: int, **columns: str) -> bytes:
    return json.dumps({"id": number, "required": "x", MARK: MARK, **columns}).encode()


UNREADABLE: Mapping[str, tuple[str, bytes | None, bytes | None]] = {
    "no JSON for a handler": ("handled", f"{MARK} is no JSON".encode(), None),
    "no text for a handler": ("handled", b"\xff" + MARK.encode(), None),
    "no id": ("handled", _event("nothing"), b""),
    "an id that is no text": ("handled", _event("nothing"), b"\xff" + MARK.encode()),
    "too large": ("handled", _event("nothing") + b" " * 100_000, None),
    "no object": ("written", json.dumps([MARK]).encode(), None),
    "no JSON for a table": ("written", f"{MARK} is no JSON".encode(), None),
    "nothing required": ("written", json.dumps({"id": 50, MARK: MARK}).encode(), None),
    "a tombstone": ("written", None, None),
    "NUL in JSON": ("written", json.dumps({"id": 51, "required": f"{MARK}\0"}).encode(), None),
    "no JSON for an id": ("read", f"{MARK} is no JSON".encode(), None),
    "no text for an id": ("read", json.dumps({"id": [MARK], MARK: 1}).encode(), None),
    "no number": ("read", json.dumps({"id": MARK, "type": TYPE, "required": MARK}).encode(), None),
}


@pytest.fixture
def marked(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    database_url: str,
    bootstrap_servers: str,
    make_topic: MakeTopic,
) -> Marked:
    """A sink of this test alone, whose outbox is there."""
    made = Marked(
        tmp_path, capfd, database_url=database_url, bootstrap_servers=bootstrap_servers, make_topic=make_topic
    )
    made.ask("migrate")
    return made


def send_all(marked: Marked) -> dict[tuple[str, int], str]:
    """Send an event for each way to fail, each with one behind it that does not; where those are that fail, and how."""
    failing = {}
    for how in (*STATEMENTS, *RAISED):
        failing[marked.send("handled", _event(how))] = how
        marked.send("handled", _event(how if how in STATEMENTS else "nothing", bad=False))
    marked.send("handled", _event("again"))
    for number, (column, value) in enumerate(ROWS.items()):
        failing[marked.send("written", _row(number + 1, **{column: value.replace("{}", MARK)}))] = column
        marked.send("written", _row(number + 101))
    for number, (how, (where, value, id_)) in enumerate(UNREADABLE.items()):
        failing[marked.send(where, value, id_=id_)] = how
        marked.send("written", _row(number + 201))
    marked.send("handled", _event("nothing"), id_=MARK.encode())
    failing[marked.send("handled", _event("nothing") + b" ", id_=MARK.encode())] = "another payload"
    failing[marked.send("handled", _event("text"), key=f"{KEY}-waited for")] = "waited for"
    failing[marked.send("handled", _event("nothing"), key=f"{KEY}-waited for")] = "waiting"
    headers = [(b"\xff" + MARK.encode(), MARK.encode())]
    raw_headers.produce(marked.bootstrap_servers, marked.topics["handled"], _event("nothing"), headers)
    failing[marked.topics["handled"], marked.ends()["handled"] - 1] = "a header's name is no text"
    return failing


def run_until_settled(marked: Marked) -> None:
    ends = marked.ends()
    with marked.watched():
        process = marked.start("run", OTEL_TRACES_EXPORTER="console")
        try:
            eventually(lambda: marked.is_settled(ends) or process.has_ended(), within=120, what="all settled")
        finally:
            process.stop()
            code, out, err = process.end()
            marked.heard.by("run: stdout, with traces", out)
            marked.heard.by("run: stderr", err)
    assert code == 0, err[-5000:]
    assert '"inbox.handler": "marked"' in out
    assert "event-parked" in err


def halt_and_die(marked: Marked) -> None:
    """An event that halts and is parked by hand, then one that ends the process."""
    offset = marked.ends()["handled"]
    marked.send("handled", _event("halt"))
    marked.command("run", "--until-end", code=4)
    where = ("--topic", f"{marked.topics['handled']}:0", "--offset", str(offset), "--reason", "a ticket")
    marked.command("dead-letters", "park", *where, "--execute", marks_in_plans=True)
    marked.send("handled", _event("dies"))
    marked.command("run", "--until-end", code=9, **{DIES: "1"})
    marked.command("run", "--until-end", **{DIES: "1"})
    marked.ask("dead-letters", "list", "--json", marks_in_plans=True)


def ask_all(marked: Marked) -> None:
    """Run every command that shows something, as somebody does who may not see payloads."""
    letters, topic = "dead-letters", marked.topics["handled"]
    for json_too in ([], ["--json"]):
        marked.ask(letters, "list", "--all", *json_too, marks_in_plans=True)
        marked.ask("status", *json_too)
        marked.ask("audit", *json_too)
    ids = [row[0] for row in marked.rows("SELECT max(dead_letter_id) FROM inbox.dead_letters GROUP BY error_class")]
    for dead_letter_id in ids:
        marked.ask(letters, "show", str(dead_letter_id), marks_in_plans=True)
    # Up to where an event lets the handler ask for more time, which ends a replay.
    until = str(2 * (len(STATEMENTS) + len(RAISED)))
    shadow = ("replay", "--topic", topic, "--from-earliest", "--until-offset", until, "--mode", "shadow", "--execute")
    assert '"examples":[{' in marked.command(*shadow, "--json", code=1)
    marked.command(letters, "retry", "--all", "--execute", "--json", code=1, marks_in_plans=True)
    marked.command(letters, "retry", "--all", "--execute", code=1, marks_in_plans=True)
    marked.ask(letters, "discard", str(ids[0]), "--execute", marks_in_plans=True)
    marked.ask("prune")
    marked.command("check", code=None)


def relay_all(marked: Marked) -> None:
    marked.command("relay", "--until-empty")
    [(count,)] = marked.rows("SELECT count(*) FROM inbox.outbox")
    for message in read_committed(marked.bootstrap_servers, marked.topics["copies"], count):
        headers, value = message.headers() or [], message.value()
        assert value is not None
        copy = json.loads(value)
        assert b64decode(copy.pop("key") or "").startswith((KEY.encode(), b""))
        for payload in ("value", "headers", "type"):
            copy.pop(payload)
        marked.heard.by("headers of copies", str(headers))
        marked.heard.by("copies beside what they copy", json.dumps(copy))


FORCED = """
SELECT sum(applied)::int, sum(dead_lettered)::int FROM inbox.replay_ranges JOIN inbox.replays USING (replay_id)
WHERE mode = 'force'
"""


def replay_by_force(marked: Marked) -> None:
    """Let events that failed take effect once more, which they cannot, and those that applied too."""
    topic = marked.topics["handled"]
    planned = ("replay", "--topic", topic, "--from-earliest", "--until-offset", "12", "--mode", "force")
    marked.command(*planned)
    marked.command(*planned, "--execute", "--json", code=None)
    marked.command("run", "--until-end")
    for more in ([], ["--json"]):
        marked.ask("replay", "list", *more)
    assert marked.rows("SELECT count(*) FROM inbox.replays WHERE mode = 'force'") == [(1,)]
    [(applied, parked)] = marked.rows(FORCED)
    assert applied > 0 < parked


def adopt_marked(marked: Marked) -> None:
    """Adopt a column whose ids are marked, one that holds none, and one whose values the view cannot even show."""
    with psycopg.connect(marked.database_url) as connection:
        connection.execute("CREATE TABLE earlier (id text, note text)")
        connection.execute("INSERT INTO earlier VALUES (%s, %s), (%s, NULL), ('', %s)", (MARK, MARK, f"{MARK}-2", MARK))
        connection.execute("CREATE VIEW odd AS SELECT note::int AS id FROM earlier WHERE note IS NOT NULL")
    for more in (["--json"], ["--execute"], ["--execute", "--json"]):
        adopted = ("adopt", "--route", "handled", "--table", "public.earlier", "--event-id-column", "id")
        marked.ask(*adopted, *more)
    marked.ask("adopt", "--route", "handled", "--table", "public.odd", "--event-id-column", "id", code=None)
    marked.ask(
        "adopt", "--route", "handled", "--table", "public.earlier", "--event-id-column", MARK, code=3, typed=True
    )


def relay_what_cannot_be_sent(marked: Marked) -> None:
    """Rows for a topic that takes none so large, and for one that there is not, are tried again and again."""
    small = marked.topics["handled"]
    marked.rows("DELETE FROM inbox.outbox RETURNING 1")
    limit = ConfigResource(ResourceType.TOPIC, small)
    limit.add_incremental_config(ConfigEntry("max.message.bytes", "2000", incremental_operation=AlterConfigOpType.SET))
    client = admin(marked.bootstrap_servers)
    client.incremental_alter_configs([limit])[limit].result(120)
    for topic in (small, f"absent_{marked.name}"):
        with psycopg.connect(marked.database_url) as connection:
            publish(connection, topic=topic, type=TYPE, key=KEY, payload=[MARK] * 200, traceparent=MARK)
        process = marked.start("relay", INBOX_HTTP__LISTEN=f"127.0.0.1:{marked.port}")
        said = ""
        try:
            eventually(lambda: "inbox_relay" in get(marked.port, "metrics")[1], what="the relay's metrics")
            eventually(lambda: get(marked.port, "ready")[0] == 503, what="a relay that cannot send")
            said = "".join(get(marked.port, path)[1] for path in ("metrics", "ready", "live"))
            marked.ask("status", "--json")
        finally:
            process.stop()
            _, out, err = process.end()
            marked.heard.by(f"relay to {topic}: stdout", out)
            marked.heard.by(f"relay to {topic}: stderr", err)
            marked.heard.by(f"relay to {topic}: metrics and probes", said)
        marked.rows("DELETE FROM inbox.outbox RETURNING 1")


def search_tables(marked: Marked) -> None:
    columns = marked.rows(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'inbox'"
    )
    assert len(columns) > 100
    with psycopg.connect(marked.database_url) as connection:
        for table, column, kind in columns:
            if column in PAYLOAD.get(table.replace("outbox_status", "outbox"), ()):
                continue
            text = sql.SQL("encode({}, 'escape')" if kind == "bytea" else "{}::text").format(sql.Identifier(column))
            query = sql.SQL("SELECT string_agg({}, ' ') FROM inbox.{}").format(text, sql.Identifier(table))
            row = connection.execute(query).fetchone()
            marked.heard.by(f"column {table}.{column}", (row and row[0]) or "")


def search_group(marked: Marked) -> None:
    consumer = Consumer({**CLIENT, "bootstrap.servers": marked.bootstrap_servers, "group.id": marked.name})
    try:
        parts = [TopicPartition(topic, 0) for topic in marked.topics.values()]
        for part in consumer.committed(parts, timeout=120):
            marked.heard.by("metadata of committed offsets", str(part.metadata))
    finally:
        consumer.close()


@pytest.mark.timeout(1200)
def test_no_way_to_fail_shows_what_is_in_an_event(marked: Marked) -> None:
    failing = send_all(marked)
    assert len(failing) >= 30
    run_until_settled(marked)
    parked = {
        (topic, offset)
        for topic, offset in marked.rows(
            "SELECT topic, kafka_offset FROM inbox.dead_letters JOIN inbox.partitions USING (partition_id)"
        )
    }
    assert {how for place, how in failing.items() if place not in parked} == set()
    assert parked <= set(failing)
    ask_all(marked)
    halt_and_die(marked)
    relay_all(marked)
    replay_by_force(marked)
    adopt_marked(marked)
    search_tables(marked)
    relay_what_cannot_be_sent(marked)
    search_group(marked)
    assert marked.heard.with_a_mark(MARKS) == []
