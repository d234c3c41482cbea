"""What is small in a topic costs little, and what is too large is parked: the memory of a worker and of its backend."""

import re
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from confluent_kafka import Producer

from tests.benchmarks.throughput import INBOX
from tests.e2e.launcher import environment
from tests.support.kafka_topics import create_topic, idempotent_producer
from tests.support.sink.running import Sink
from tests.support.sinks import offer_handlers
from tests.support.watching_memory import MemoryWatch

ROUTES = """
[[routes]]
name = "table"
topic = "TOPIC"
event_id = "value:/id"
[routes.table]
name = "public.facts"
mode = "append"
[routes.table.columns]
"offset" = "$offset"
text = "/a"
part = "/a"
number = "/number"
document = "$value"
whole = "$value"
extra = "$header:extra"

[[routes]]
name = "keyed"
topic = "TOPIC"
event_id = "coordinates"
[routes.table]
name = "public.keyed"
mode = "upsert"
key = ["key"]
[routes.table.columns]
key = "$key"
"offset" = "$offset"

[[routes]]
name = "handled"
topic = "TOPIC"
event_id = "coordinates"
event_type = "value:/type"
handler = "note"
"""
TABLES = (
    'CREATE TABLE facts ("offset" bigint, text text, part json, number numeric, document jsonb, whole json,'
    " extra jsonb)",
    'CREATE TABLE keyed (key text PRIMARY KEY, "offset" bigint)',
    'CREATE TABLE effects ("offset" bigint, id uuid)',
)
MEGABYTE = 1_000_000
WORKER_MEGABYTES = 100 + 8 * 16.8 + 7 * 20
"""100 and eight times `batch_bytes`, and seven times the largest event here, which is decoded too."""

BACKEND_MEGABYTES = (9 + 3 * 5) * 20
"""Nine times the largest event, and five times more for each column that takes nearly all of it as a text."""

APPLIED = None


class Case(NamedTuple):
    """An event, and what a dead letter of the table's route says of it; None where it is applied."""

    name: str
    value: bytes
    error: str | None
    key: bytes | None = b"k"
    headers: tuple[tuple[str, bytes], ...] = ()


def of(member: bytes, name: bytes = b"a") -> bytes:
    return b'{"id":"ID","' + name + b'":' + member + b"}"


def array(each: bytes, count: int) -> bytes:
    return b"[" + b",".join([each] * count) + b"]"


def members(names: Callable[[int], bytes], count: int) -> bytes:
    return b"{" + b",".join(b'"' + names(number) + b'":0' for number in range(count)) + b"}"


@cache
def cases() -> list[Case]:
    """Return the events, 100 MB that only the one process makes which sends them."""
    return [
        Case("63 KB that are 917 MB as a text", of(array(b"1e131071", 7000)), "exponent beyond 999"),
        Case("one such number", of(b"1e131071"), "the number at byte 17 has an exponent beyond 999"),
        Case("a small one with many digits behind the point", of(b"-1E-16383"), "exponent beyond 999"),
        Case("the largest exponent", of(b"1e999"), APPLIED),
        Case("exponents that stand for 10 MB", of(array(b"1e999", 10_000)), APPLIED),
        Case("exponents that stand for 20 MB", of(array(b"1e999", 20_000)), "stand for more than 16777216 digits"),
        Case(
            "a header that is 131 KB as a text",
            of(b"1"),
            "from .header:extra: the number at byte 0",
            headers=(("extra", b"1e131071"),),
        ),
        Case("10 million elements", of(array(b"0", 10_000_000)), "more than 500000 commas outside"),
        Case("half a million objects", of(array(b'{"":0}', 500_000)), "more than 100000 opening brackets outside"),
        Case("500,000 elements", of(array(b"0", 499_990)), APPLIED),
        Case("100,000 objects", of(array(b'{"":0}', 99_990)), APPLIED),
        Case(
            "a million members",
            of(members(lambda number: b"%d" % number, 1_000_000)),
            "more than 500000 commas outside",
        ),
        Case("400,000 members", of(members(lambda number: b"%d" % number, 400_000)), APPLIED),
        Case("400,000 members of one name", of(members(lambda _: b"one", 400_000)), APPLIED),
        Case("100,000 levels", of(b"[" * 100_000 + b"]" * 100_000), "nests more than 1024 levels deep"),
        Case("1,024 levels", of(b"[" * 1023 + b"]" * 1023), APPLIED),
        Case("131,072 digits", of(b"9" * 131_072, b"number"), APPLIED),
        Case("a million digits", of(b"9" * MEGABYTE, b"number"), "beyond PostgreSQL's numeric"),
        Case("a text of 20 MB", of(b'"' + b"x" * 20 * MEGABYTE + b'"'), APPLIED),
        Case("a text of commas", of(b'"' + b",[{" * 2 * MEGABYTE + b'"'), APPLIED),
        Case("a member's name of 5 MB", of(b"1", b"n" * 5 * MEGABYTE), APPLIED),
        Case("an id of 1 MB", b'{"id":"' + b"i" * MEGABYTE + b'"}', APPLIED),
        Case("a type of 1 MB", b'{"id":"ID","type":"' + b"t" * MEGABYTE + b'"}', APPLIED),
        Case("a key of 1 MB", of(b"1"), APPLIED, key=b"".join(b"%d" % number for number in range(170_000))),
        Case("a header of 1 MB", of(b"1"), APPLIED, headers=(("other", b"h" * MEGABYTE),)),
        Case("a header's name of 30 KB", of(b"1"), APPLIED, headers=(("n" * 30_000, b""),)),
        Case("50,000 headers", of(b"1"), APPLIED, headers=(("", b""),) * 50_000),
        Case("NUL", of(b'"\\u0000"'), "NUL"),
        Case("a lone surrogate", of(b'"\\ud800"'), "the value is not valid JSON"),
        Case("bytes that are no UTF-8", of(b'"\xff"'), "the value is not valid JSON"),
        Case("the last one", of(b"1"), APPLIED),
    ]


def of_case(number: int, case: Case) -> bytes:
    return case.value.replace(b'"ID"', b'"id-%d"' % number, 1)


@pytest.fixture
def handled(sink: Sink, tmp_path: Path) -> tuple[Sink, dict[str, Any]]:
    """A sink over a topic of large events, and where its handler is."""
    sink.topic = create_topic(sink.bootstrap_servers, max_message_bytes=40 * MEGABYTE)
    sink.configure(ROUTES, rest='[failures]\nattempts = 1\norder = "none"')
    for table in TABLES:
        sink.sql(table)
    packages = offer_handlers(tmp_path / "handlers", {"note": "tests.support.sink.bounded_handler:note"})
    return sink, {"env": environment(packages), "cwd": Path(__file__).parents[3]}


def produce(producer: Producer, topic: str) -> None:
    for number, case in enumerate(cases()):
        producer.produce(topic, of_case(number, case), case.key, headers=list(case.headers))
        assert producer.flush(120) == 0


@pytest.mark.timeout(1200)
def test_every_event_is_applied_or_parked_and_the_memory_is_bounded(handled: tuple[Sink, dict[str, Any]]) -> None:
    sink, process = handled
    produce(
        idempotent_producer(sink.bootstrap_servers, **{"message.max.bytes": 40 * MEGABYTE, "linger.ms": 0}), sink.topic
    )
    with (sink.file or Path()).with_suffix(".log").open("wb") as log:
        command = [*INBOX, "run", "--until-end", "--config", str(sink.file)]
        with subprocess.Popen(command, stderr=log, **process) as worker:
            memory = MemoryWatch(worker.pid, sink.database_url)
            assert worker.wait(500) == 0
            memory.stop()
    assert sink.next_offsets() == {0: len(cases())}
    assert sum(sink.endings().values()) == 3 * len(cases())

    query = (
        "SELECT d.kafka_offset, d.error FROM inbox.dead_letters AS d JOIN inbox.routes AS r USING (route_id)"
        " WHERE r.name = 'table'"
    )
    letters = dict(sink.sql(query))
    for number, case in enumerate(cases()):
        if case.error is None:
            assert number not in letters, f"{case.name}: {letters[number]}"
        else:
            assert re.search(case.error, letters.get(number, "applied")), f"{case.name}: {letters.get(number)}"
    [(longest,)] = sink.sql("SELECT max(octet_length(text)) FROM facts")
    assert longest <= 2 * 20 * MEGABYTE
    print(f"worker {memory.worker:.0f} MB, backend {memory.backend:.0f} MB")
    assert memory.worker < WORKER_MEGABYTES
    assert memory.backend < BACKEND_MEGABYTES
