"""The checker finds what it is there to find: each kind of damage, done by hand to a database that was right."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import psycopg
import pytest

from inbox.dev.backends import Servers
from tests.e2e.checker import Coordinates, Findings, compare, read_log
from tests.e2e.crashes import PARTITIONS, CrashedSink
from tests.e2e.history import Sent
from tests.support.databases import create_database, drop_database
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.sinks import offer_handlers

CHUNKS = 5


@dataclass(frozen=True)
class Settled:
    """A topic, and the database of a sink that came to its end undisturbed."""

    database: str
    records: Mapping[Coordinates, bytes]
    ends: Mapping[int, int]
    committed: Mapping[Coordinates, Sent]


@pytest.fixture(scope="module")
def settled(servers: Servers, template_database: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settled]:
    directory = tmp_path_factory.mktemp("checker")
    database, topic = unique_name("settled"), create_topic(servers.bootstrap_servers, partitions=PARTITIONS)
    sink = CrashedSink(
        directory,
        seed="the same each time",
        bootstrap_servers=servers.bootstrap_servers,
        topic=topic,
        database_url=create_database(servers.database_url, database, template=template_database),
        packages=offer_handlers(directory / "packages", {"record": "tests.e2e.effects:record"}),
    )
    for _ in range(CHUNKS):
        sink.history.add_chunk()
    sink.survive(kills=0)
    records, ends = read_log(servers.bootstrap_servers, topic)
    yield Settled(database, records, ends, sink.history.committed)
    drop_database(servers.database_url, database)


def found_after(damage: str, settled: Settled, servers: Servers) -> Findings:
    """What the checker says of a copy of the database to which this was done."""
    name = unique_name("damaged")
    url = create_database(servers.database_url, name, template=settled.database)
    try:
        with psycopg.connect(url) as connection:
            assert not damage or connection.execute(damage.encode()).rowcount > 0
        return compare(settled.records, settled.ends, url, settled.committed)
    finally:
        drop_database(servers.database_url, name)


def test_nothing_is_wrong_with_what_an_undisturbed_sink_did(settled: Settled, servers: Servers) -> None:
    findings = found_after("", settled, servers)
    assert findings.problems == []
    assert findings.parked > 0
    assert findings.applied > 0


@pytest.mark.parametrize(
    ("damage", "figure"),
    [
        ("DELETE FROM effects WHERE position = 7", "lost"),
        ("DELETE FROM appended WHERE seq = (SELECT min(seq) FROM appended)", "lost"),
        (
            "INSERT INTO effects (event_id, key, seq) SELECT event_id, key, seq FROM effects WHERE position = 7",
            "doubled",
        ),
        ("INSERT INTO appended SELECT * FROM appended WHERE seq = (SELECT min(seq) FROM appended)", "doubled"),
        (
            "WITH early AS (DELETE FROM effects WHERE key IS NOT NULL AND position = "
            "(SELECT min(position) FROM effects WHERE key = 'key-1') RETURNING event_id, key, seq) "
            "INSERT INTO effects (event_id, key, seq) SELECT * FROM early",
            "disordered",
        ),
        ("DELETE FROM inbox.dead_letters WHERE state = 'parked'", "not_parked"),
        ("UPDATE inbox.dead_letters SET kafka_offset = kafka_offset + 100000", "wrongly_parked"),
    ],
)
def test_damage_is_counted_as_what_it_is(damage: str, figure: str, settled: Settled, servers: Servers) -> None:
    findings = found_after(damage, settled, servers)
    assert getattr(findings, figure) > 0
    assert findings.problems


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (
            "UPDATE appended SET amount = 100 * amount WHERE seq = (SELECT min(seq) FROM appended)",
            "amounts in appended",
        ),
        ("UPDATE appended SET key = 'x', seq = seq WHERE seq = (SELECT min(seq) FROM appended)", "values in appended"),
        ("INSERT INTO effects (event_id, key, seq) VALUES ('of nobody', 'key-1', 1)", "never committed to Kafka"),
        ("UPDATE counters SET count = count + 1 WHERE key = 'key-1'", "counters"),
        (
            "DELETE FROM inbox.processed WHERE event_id = (SELECT min(event_id::text)::uuid FROM inbox.processed)",
            "claims",
        ),
        ("UPDATE inbox.partitions SET next_offset = next_offset - 1 WHERE partition = 0", "next_offset by partition"),
        ("UPDATE inbox.partitions SET applied = applied - 1, duplicate = duplicate + 1 WHERE partition = 0", "applied"),
        ("UPDATE inbox.partitions SET applied = applied - 1 WHERE partition = 0", "endings in partition 0"),
    ],
)
def test_damage_to_the_books_is_named(damage: str, said: str, settled: Settled, servers: Servers) -> None:
    assert said in "\n".join(found_after(damage, settled, servers).problems)
