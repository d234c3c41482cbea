"""Holds a database against what was committed to Kafka; shares no code with the sink.

The log is read again, offset by offset. A model of a few lines, a set of ids and a set of held keys for each route,
says how each offset has to end.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from types import MappingProxyType

import psycopg
from confluent_kafka import Consumer, KafkaError, TopicPartition

from tests.e2e.history import APPLIED, DUPLICATE, FILTERED, PARKED, PARKS_ON, WAITING, Sent
from tests.support.kafka_topics import CLIENT, unique_name

Coordinates = tuple[int, int]


@dataclass
class Findings:
    """What is wrong, one line each, and the figures that matter."""

    records: int = 0
    applied: int = 0
    parked: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    wrongly_parked: int = 0
    not_parked: int = 0
    problems: list[str] = field(default_factory=list)

    def check(self, name: str, found: object, expected: object) -> None:
        if found == expected:
            return
        if isinstance(found, Mapping) and isinstance(expected, Mapping):
            wrong = [key for key in {**found, **expected} if found.get(key) != expected.get(key)]
            found, expected = {key: found.get(key) for key in wrong}, {key: expected.get(key) for key in wrong}
        self.problems.append(f"{name}: found {str(found)[:600]}, expected {str(expected)[:600]}")


@dataclass
class Expected:
    """How the offsets of one route have to end; `free` may be duplicate or waiting."""

    endings: dict[Coordinates, str] = field(default_factory=dict)
    applied: list[Sent] = field(default_factory=list)
    free: set[Coordinates] = field(default_factory=set)


def examine(bootstrap_servers: str, topic: str, database_url: str, committed: Mapping[Coordinates, Sent]) -> Findings:
    records, ends = read_log(bootstrap_servers, topic)
    return compare(records, ends, database_url, committed)


def compare(
    records: Mapping[Coordinates, bytes],
    ends: Mapping[int, int],
    database_url: str,
    committed: Mapping[Coordinates, Sent],
    *,
    payload: Callable[[int, Sent], bytes] = lambda _, event: event.value(),
    bases: Mapping[str, int] = MappingProxyType({}),
) -> Findings:
    """`records` and `ends` are the log's, as `read_log` finds them.

    `payload` gives the value of an event in a partition. Where there are several topics, `bases` has the number of
    each topic's first partition.
    """
    findings = Findings(records=len(records))
    findings.check("offsets in Kafka", sorted(records), sorted(committed))
    for place, event in committed.items():
        findings.check(f"payload at {place}", records.get(place), payload(place[0], event))
    with psycopg.connect(database_url) as connection:
        expected = {route: expect(committed, route) for route in ("handler", "table")}
        findings.applied = sum(len(each.applied) for each in expected.values())
        _check_effects(connection, "effects", expected["handler"], findings)
        _check_effects(connection, "appended", expected["table"], findings)
        _check_counters(connection, expected["handler"], findings)
        for route, each in expected.items():
            _check_dead_letters(connection, route, each, bases, findings)
        _check_values(connection, expected, findings)
        _check_ledger(connection, expected, committed, ends, bases, findings)
    return findings


def expect(committed: Mapping[Coordinates, Sent], route: str) -> Expected:
    """Partition by partition, in the order of offsets: which of equal ids in two partitions is first matters not."""
    expected = Expected()
    held: set[tuple[int, str]] = set()
    ids = set()
    for place, event in sorted(committed.items()):
        scope = None if event.key is None else (place[0], event.key)
        if route == "handler" and event.type == "Noise":
            expected.endings[place] = FILTERED
        elif event.event_id in ids and scope not in held:
            expected.endings[place] = DUPLICATE
        elif scope in held and route not in PARKS_ON[event.kind]:
            expected.endings[place] = WAITING
            if event.event_id in ids:
                expected.free.add(place)
        elif route in PARKS_ON[event.kind]:
            expected.endings[place] = PARKED
            if scope is not None and scope in held:
                expected.free.add(place)
            if scope is not None:
                held.add(scope)
        else:
            expected.endings[place] = APPLIED
            expected.applied.append(event)
            ids.add(event.event_id)
    return expected


def _check_effects(connection: psycopg.Connection, table: str, expected: Expected, findings: Findings) -> None:
    order = "position" if table == "effects" else "ctid"
    rows = connection.execute(f"SELECT event_id, key, seq FROM {table} ORDER BY {order}").fetchall()  # noqa: S608
    found, wanted = Counter(row[0] for row in rows), {str(event.event_id) for event in expected.applied}
    lost, doubled = wanted - set(found), {event_id: n for event_id, n in found.items() if n > 1}
    findings.lost += len(lost)
    findings.doubled += len(doubled)
    findings.check(f"lost from {table}", lost, set())
    findings.check(f"doubled in {table}", doubled, {})
    findings.check(f"in {table}, but never committed to Kafka", set(found) - wanted, set())
    if table == "effects":
        found_order, sent_order = _by_key((row[1], row[2]) for row in rows), _sent_by_key(expected)
        findings.disordered += sum(_descents(order) for order in found_order.values())
        findings.check("order of effects by key", found_order, sent_order)


def _descents(order: list[int]) -> int:
    """How many events of a key took effect after a later one; the log has each key's in rising order."""
    return sum(later < earlier for earlier, later in pairwise(order))


def _by_key(pairs: object) -> dict[str, list[int]]:
    order: dict[str, list[int]] = defaultdict(list)
    for key, seq in pairs:  # type: ignore[attr-defined]
        if key is not None:
            order[key].append(seq)
    return dict(order)


def _sent_by_key(expected: Expected) -> dict[str, list[int]]:
    return _by_key((event.key, event.seq) for event in expected.applied)


def _check_counters(connection: psycopg.Connection, expected: Expected, findings: Findings) -> None:
    found = dict(connection.execute("SELECT key, count FROM counters").fetchall())
    findings.check("counters", found, dict(Counter(event.key or "none" for event in expected.applied)))


def _check_values(connection: psycopg.Connection, expected: Mapping[str, Expected], findings: Findings) -> None:
    """Check that each effect has the key and the number of its event, and the amount that goes with the number."""
    for route, table in {"handler": "effects", "table": "appended"}.items():
        rows = connection.execute(f"SELECT event_id, key, seq FROM {table}").fetchall()  # noqa: S608
        wanted = {str(event.event_id): (event.key, event.seq) for event in expected[route].applied}
        found = {event_id: (key, seq) for event_id, key, seq in rows if event_id in wanted}
        findings.check(f"values in {table}", found, wanted)
    wrong = connection.execute("SELECT event_id, amount FROM appended WHERE amount <> seq + 0.50").fetchall()
    findings.check("amounts in appended", wrong, [])


def _check_dead_letters(
    connection: psycopg.Connection, route: str, expected: Expected, bases: Mapping[str, int], findings: Findings
) -> None:
    rows = connection.execute(
        "SELECT partitions.topic, partition, kafka_offset, state FROM inbox.dead_letters "
        "JOIN inbox.partitions USING (partition_id) JOIN inbox.routes USING (route_id) "
        "WHERE split_part(routes.name, ' ', 1) = %s",
        [route],
    ).fetchall()
    found = {(bases.get(topic, 0) + partition, offset): state for topic, partition, offset, state in rows}
    found = {place: state for place, state in found.items() if place not in expected.free}
    wanted = {
        place: ending
        for place, ending in expected.endings.items()
        if ending in (PARKED, WAITING) and place not in expected.free
    }
    findings.parked += list(found.values()).count(PARKED)
    findings.wrongly_parked += len(set(found) - set(wanted))
    findings.not_parked += len(set(wanted) - set(found))
    findings.check(f"dead letters of {route}", dict(sorted(found.items())), wanted)


def _check_ledger(
    connection: psycopg.Connection,
    expected: Mapping[str, Expected],
    committed: Mapping[Coordinates, Sent],
    ends: Mapping[int, int],
    bases: Mapping[str, int],
    findings: Findings,
) -> None:
    ledger = connection.execute(
        "SELECT topic, partition, next_offset, applied, duplicate, filtered, dead_lettered FROM inbox.partitions"
    ).fetchall()
    rows = [(bases.get(topic, 0) + partition, *rest) for topic, partition, *rest in ledger]
    findings.check("next_offset by partition", {row[0]: row[1] for row in rows}, dict(ends))
    by_partition = Counter(partition for partition, _ in committed)
    for partition, _, *counts in rows:
        findings.check(f"endings in partition {partition}", sum(counts), len(expected) * by_partition[partition])
    applied, duplicate, filtered, dead = (sum(column) for column in zip(*(row[2:] for row in rows), strict=True))
    endings = [ending for each in expected.values() for ending in each.endings.values()]
    findings.check("applied", applied, endings.count(APPLIED))
    findings.check("filtered", filtered, endings.count(FILTERED))
    findings.check("claims", _count(connection, "inbox.processed"), applied)
    findings.check("dead lettered", dead, _count(connection, "inbox.dead_letters"))
    free = sum(len(each.free) for each in expected.values())
    if not endings.count(DUPLICATE) <= duplicate <= endings.count(DUPLICATE) + free:
        findings.problems.append(f"duplicates: found {duplicate}, expected {endings.count(DUPLICATE)} to {free} more")


def _count(connection: psycopg.Connection, table: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    assert row is not None
    return int(row[0])


def read_log(bootstrap_servers: str, topic: str) -> tuple[dict[Coordinates, bytes], dict[int, int]]:
    """Every committed record by partition and offset, and each partition's end past control records."""
    consumer = Consumer(
        {
            **CLIENT,
            "bootstrap.servers": bootstrap_servers,
            "group.id": unique_name("checker"),
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
        }
    )
    numbers = consumer.list_topics(topic, timeout=120).topics[topic].partitions
    consumer.assign([TopicPartition(topic, number, 0) for number in numbers])
    records: dict[Coordinates, bytes] = {}
    ends: dict[int, int] = {}
    try:
        while len(ends) < len(numbers):
            message = consumer.poll(20)
            assert message is not None, f"{topic} did not come to its end; partitions at their end: {sorted(ends)}"
            if (error := message.error()) is None:
                records[message.partition(), message.offset()] = message.value()
            else:
                assert error.code() == KafkaError._PARTITION_EOF, error
                ends[message.partition()] = message.offset()
    finally:
        consumer.close()
    return records, ends


def read_logs(bootstrap_servers: str, bases: Mapping[str, int]) -> tuple[dict[Coordinates, bytes], dict[int, int]]:
    """The logs of several topics as one; `bases` has the number of each topic's first partition."""
    records: dict[Coordinates, bytes] = {}
    ends: dict[int, int] = {}
    for topic, base in bases.items():
        of_topic, ends_of_topic = read_log(bootstrap_servers, topic)
        records |= {(base + partition, offset): value for (partition, offset), value in of_topic.items()}
        ends |= {base + partition: end for partition, end in ends_of_topic.items()}
    return records, ends


def described(findings: Findings) -> str:
    return json.dumps(
        {
            "records": findings.records,
            "lost": findings.lost,
            "doubled": findings.doubled,
            "problems": findings.problems,
        },
        indent=2,
    )
