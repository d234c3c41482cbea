"""The registry away: no event is parked, what is known continues, and the partition waits where it must."""

import os
import time
from collections.abc import Callable

import pytest

from inbox import Event, Transaction
from inbox.errors import StartupError
from inbox.telemetry import PAUSED
from tests.integration.sink.conftest import EFFECTS
from tests.support.log_lines import capture_logs
from tests.support.registry_stub import RegistryStub, refusal, schema_answer
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually, taking_at_most

ROUTE = """
[[routes]]
topic = "TOPIC"
handler = "handler"
format = "avro"
"""


def framed(schema_id: int, data: bytes = b"\x08") -> bytes:
    return b"\x00" + schema_id.to_bytes(4, "big") + data


@pytest.fixture
def partitions() -> int:
    return 1


@pytest.fixture
def avro_sink(make_sink: Callable[..., Sink], partitions: int, offer: Callable[..., None], stub: RegistryStub) -> Sink:
    """A sink whose handler notes each event; schema 1 is known to the registry."""

    def apply(event: Event, tx: Transaction) -> None:
        tx.execute("INSERT INTO effects (event, key) VALUES (%s, %s)", (event.id.int, str(event.data)))

    offer(handler=apply)
    sink = make_sink(partitions=partitions)
    sink.configure(ROUTE, rest=f'[registry]\nurl = "{stub.url}"\ntimeout = 2')
    sink.sql(EFFECTS)
    stub.answers["/schemas/ids/1"] = schema_answer('"int"')
    return sink


def effects(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM effects ORDER BY position")


@pytest.mark.parametrize("answer", [refusal(503, 50301), refusal(401, 40101), (200, b"<html>"), refusal(404)])
def test_an_event_waits_for_its_schema_behind_what_was_settled(
    avro_sink: Sink, stub: RegistryStub, answer: tuple[int, bytes]
) -> None:
    stub.answers["/schemas/ids/2"] = answer
    avro_sink.send(Out(1, framed(1)), Out(2, framed(2)), Out(3, framed(1)))
    with capture_logs() as logs, avro_sink.running():
        avro_sink.eventually_settled(1)
        asked = len(stub.asked)
        eventually(lambda: len(stub.asked) > asked + 1, what="further tries")
        assert effects(avro_sink) == [1]
        stub.answers["/schemas/ids/2"] = schema_answer('"int"')
        with taking_at_most(10):
            avro_sink.eventually_settled(3)
        eventually(lambda: any(line["event"] == "outage-over" for line in logs), what="the end of the outage")
    assert effects(avro_sink) == [1, 2, 3]
    assert avro_sink.dead_letters() == []
    assert [line["away"] for line in logs if line["event"] == "outage"] == ["registry"]
    assert [line["away"] for line in logs if line["event"] == "outage-over"] == ["registry"]


@pytest.mark.parametrize("partitions", [2])
def test_other_partitions_continue_while_one_waits(avro_sink: Sink, stub: RegistryStub) -> None:
    stub.answers["/schemas/ids/2"] = refusal(503, 50301)
    avro_sink.send(Out(1, framed(2), partition=0))
    with avro_sink.running():
        eventually(lambda: any("/2" in path for path in stub.asked), what="the question for schema 2")
        for number in range(10, 15):
            avro_sink.send(Out(number, framed(1), partition=1))
            avro_sink.eventually_settled(number - 9, partition=1)
        stub.answers["/schemas/ids/2"] = schema_answer('"int"')
        avro_sink.eventually_settled(1, partition=0)
    assert avro_sink.dead_letters() == []


def test_an_unknown_id_is_parked_after_its_time_and_the_next_event_applied(
    avro_sink: Sink, stub: RegistryStub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.kafka.registry.schemas.PATIENCE_SECONDS", 3.0)
    avro_sink.send(Out(1, framed(77)), Out(2, framed(1)))
    avro_sink.run()
    assert avro_sink.dead_letters() == [(0, "parked")]
    assert "knows no schema 77; register the schema, then retry the event" in avro_sink.dead_letter_errors()[0]
    assert effects(avro_sink) == [2]
    stub.answers["/schemas/ids/77"] = schema_answer('"int"')
    assert avro_sink.command("dead-letters", "retry", "--all", "--execute") == 0
    assert effects(avro_sink) == [2, 1]


def test_many_unknown_ids_are_parked_soon_and_their_neighbours_applied(
    avro_sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.kafka.registry.schemas.PATIENCE_SECONDS", 2.0)
    for number in range(1, 101):
        avro_sink.send(Out(number, framed(1000 + number)), Out(500 + number, framed(1)))
    avro_sink.run()
    assert avro_sink.endings() == {"applied": 100, "dead_lettered": 100}


def test_a_value_that_does_not_fit_its_schema_is_parked(avro_sink: Sink) -> None:
    avro_sink.send(Out(1, framed(1, b"")), Out(2, b'{"a": 1}'), Out(3, framed(1)))
    avro_sink.run()
    assert effects(avro_sink) == [3]
    assert [error.partition(";")[0] for error in avro_sink.dead_letter_errors()] == [
        "the value does not fit schema 1: it is shorter than its schema",
        "the data begins with byte 123, and a schema id begins with byte 0 or 1",
    ]


def test_a_redeployed_producer_with_another_id_is_a_duplicate(avro_sink: Sink, stub: RegistryStub) -> None:
    stub.answers["/schemas/ids/2"] = schema_answer('"int"')
    avro_sink.send(Out(1, framed(1)), Out(1, framed(2)))
    avro_sink.run()
    assert avro_sink.endings() == {"applied": 1, "duplicate": 1}


def test_a_start_with_the_address_of_something_else_is_refused(avro_sink: Sink, stub: RegistryStub) -> None:
    del stub.answers["/schemas/types"]
    with pytest.raises(StartupError, match=r"check the path of \[registry\] url"):
        avro_sink.run()


def test_300_schemas_in_one_topic_are_asked_for_once_each(avro_sink: Sink, stub: RegistryStub) -> None:
    for number in range(100, 400):
        fields = [{"name": f"f{number}", "type": "int"}]
        stub.answers[f"/schemas/ids/{number}"] = schema_answer({"type": "record", "name": "R", "fields": fields})
    avro_sink.send(*(Out(number, framed(number)) for number in [*range(100, 400), *range(100, 400)]))
    avro_sink.run()
    assert avro_sink.endings() == {"applied": 300, "duplicate": 300}
    assert sorted(avro_sink.column("SELECT key FROM effects")) == sorted(str({f"f{n}": 4}) for n in range(100, 400))
    assert len([path for path in stub.asked if "/ids/" in path]) == 300


AWAY_SECONDS = float(os.environ.get("REGISTRY_AWAY_SECONDS", "5"))
"""The time for which the registry is away under load; `make registry-away` sets it to ten minutes."""


@pytest.mark.long
def test_the_registry_away_under_load_parks_nothing_and_the_rest_is_settled_within_10_seconds(
    avro_sink: Sink, stub: RegistryStub
) -> None:
    answer, ids, sent = schema_answer('"int"'), iter(range(10, 100_000)), 0

    def send() -> None:
        nonlocal sent
        schema_id = next(ids)
        stub.answers[f"/schemas/ids/{schema_id}"] = lambda: refusal(503, 50301) if away else answer
        avro_sink.send(*(Out(1000 + sent + number, framed(schema_id)) for number in range(50)))
        sent += 50

    away = False
    with capture_logs() as logs, avro_sink.running():
        send()
        avro_sink.eventually_settled(sent)
        away, until = True, time.monotonic() + AWAY_SECONDS
        while time.monotonic() < until:
            send()
            time.sleep(0.2)
        assert avro_sink.endings()["applied"] == 50
        assert PAUSED.labels("registry")._value.get() > 0  # so that it is not ready
        away = False
        with taking_at_most(10):
            avro_sink.eventually_settled(sent)
    assert avro_sink.dead_letters() == []
    assert len(effects(avro_sink)) == sent
    assert [line["away"] for line in logs if line["event"] == "outage"] == ["registry"]
