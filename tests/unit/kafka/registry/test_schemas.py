"""A registry never holds up the thread that polls, and an outage is never an event's fault."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import pytest

from inbox.errors import EventError, TryAgainError
from inbox.kafka.registry.client import RegistryAnswers, UnknownSchemaError
from inbox.kafka.registry.schemas import SchemaRegistry
from inbox.reading.schemas import SchemaError, SchemaId, SchemaKind, WrittenSchema
from tests.support.schemas import avro

AVRO = SchemaKind.AVRO
AWAY = TryAgainError("away", away="registry", reason="server")


@dataclass
class Answers:
    """Answers that a test sets; `gate` holds them up while it is clear."""

    name: str = "the schema registry at http://registry"
    answer: WrittenSchema | Exception = field(default_factory=lambda: avro("int"))
    asked: list[SchemaId] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def schema(self, schema_id: SchemaId, kind: SchemaKind) -> WrittenSchema:
        self.asked.append(schema_id)
        self.gate.wait(120)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def connected(answers: Answers) -> Callable[[], RegistryAnswers]:
    return lambda: cast("RegistryAnswers", answers)


@pytest.fixture
def answers() -> Iterator[Answers]:
    made = Answers()
    made.gate.set()
    yield made
    made.gate.set()


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry(answers: Answers, clock: Clock) -> SchemaRegistry:
    return SchemaRegistry(connected(answers), patience_seconds=60, wait_seconds=5, clock=clock)


def test_a_schema_is_fetched_once(answers: Answers, registry: SchemaRegistry) -> None:
    assert [registry.schema(7, AVRO) for _ in range(3)] == [answers.answer] * 3
    assert answers.asked == [7]


def test_a_slow_registry_is_an_outage_and_its_answer_is_used_when_it_comes(answers: Answers, clock: Clock) -> None:
    registry = SchemaRegistry(connected(answers), wait_seconds=0.01, clock=clock)
    answers.gate.clear()
    for _ in range(3):
        with pytest.raises(TryAgainError, match="has not answered yet"):
            registry.schema(7, AVRO)
    answers.gate.set()
    assert until(lambda: registry.schema(7, AVRO)) == answers.answer
    assert answers.asked == [7]


def until(ask: Callable[[], WrittenSchema]) -> WrittenSchema:
    for _ in range(1000):
        try:
            return ask()
        except TryAgainError:
            continue
    raise AssertionError("no answer")


def test_while_the_registry_is_away_it_is_not_asked_each_time(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = AWAY
    for _ in range(5):
        with pytest.raises(TryAgainError, match="away"):
            registry.schema(7, AVRO)
    assert answers.asked == [7]
    clock.now = 3.1
    answers.answer = avro("int")
    assert registry.schema(7, AVRO).text == '"int"'


def test_known_schemas_work_while_the_registry_is_away(answers: Answers, registry: SchemaRegistry) -> None:
    registry.schema(7, AVRO)
    answers.answer = AWAY
    with pytest.raises(TryAgainError):
        registry.schema(8, AVRO)
    assert registry.schema(7, AVRO).text == '"int"'


def test_an_outage_is_an_outage_however_long_it_lasts(answers: Answers, registry: SchemaRegistry, clock: Clock) -> None:
    answers.answer = AWAY
    for clock.now in range(0, 36_000, 60):
        with pytest.raises(TryAgainError):
            registry.schema(7, AVRO)


def test_an_unknown_id_is_an_outage_for_a_minute_and_then_the_events_fault(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = UnknownSchemaError()
    for clock.now in range(0, 60, 2):
        with pytest.raises(TryAgainError, match="knows no schema 7 yet; it is asked for again for 60 s"):
            registry.schema(7, AVRO)
    clock.now = 60
    for _ in range(3):
        with pytest.raises(EventError, match="knows no schema 7; register the schema, then retry the event"):
            registry.schema(7, AVRO)
    assert len(answers.asked) == 31


def test_an_outage_does_not_count_as_a_minute_of_an_unknown_id(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = AWAY
    with pytest.raises(TryAgainError):
        registry.schema(7, AVRO)
    clock.now, answers.answer = 600, UnknownSchemaError()
    with pytest.raises(TryAgainError, match="yet"):
        registry.schema(7, AVRO)


def test_an_id_that_becomes_known_is_used(answers: Answers, registry: SchemaRegistry, clock: Clock) -> None:
    answers.answer = UnknownSchemaError()
    with pytest.raises(TryAgainError):
        registry.schema(7, AVRO)
    clock.now, answers.answer = 2, avro("int")
    assert registry.schema(7, AVRO).text == '"int"'


def test_a_thousand_unknown_ids_are_waited_for_two_minutes_together(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = UnknownSchemaError()
    for schema_id in range(1000):
        wait_until_parked(registry, schema_id, clock)
    assert 60 < clock.now < 125


def wait_until_parked(registry: SchemaRegistry, schema_id: int, clock: Clock) -> None:
    while True:
        try:
            registry.schema(schema_id, AVRO)
        except TryAgainError:
            clock.now += 0.5
        except EventError:
            return


def test_unknown_ids_are_waited_for_a_whole_minute_again_after_one_became_known(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = UnknownSchemaError()
    for schema_id in range(1, 11):
        wait_until_parked(registry, schema_id, clock)
    answers.answer = avro("int")
    clock.now += 31
    registry.schema(10, AVRO)
    answers.answer = UnknownSchemaError()
    with pytest.raises(TryAgainError, match="it is asked for again for 60 s"):
        registry.schema(11, AVRO)


def test_unknown_ids_are_waited_for_a_whole_minute_again_after_ten_quiet_ones(
    answers: Answers, registry: SchemaRegistry, clock: Clock
) -> None:
    answers.answer = UnknownSchemaError()
    wait_until_parked(registry, 1, clock)
    with pytest.raises(TryAgainError, match="it is asked for again for 30 s"):
        registry.schema(2, AVRO)
    clock.now += 600
    with pytest.raises(TryAgainError, match="it is asked for again for 60 s"):
        registry.schema(3, AVRO)


def test_a_command_that_cannot_wait_blames_the_event_at_once(answers: Answers, clock: Clock) -> None:
    registry = SchemaRegistry(connected(answers), clock=clock)
    answers.answer = UnknownSchemaError()
    with pytest.raises(EventError, match="knows no schema 7; register"):
        registry.schema(7, AVRO)


def test_a_schema_that_cannot_be_used_is_the_events_fault(answers: Answers, registry: SchemaRegistry) -> None:
    answers.answer = SchemaError("too large")
    with pytest.raises(SchemaError, match="too large"):
        registry.schema(7, AVRO)


def test_another_schema_under_the_same_id_calls_for_a_person(
    answers: Answers, registry: SchemaRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.kafka.registry.schemas._MOST_SCHEMAS", 1)
    registry.schema(7, AVRO)
    registry.schema(8, AVRO)
    answers.answer = avro("string")
    with pytest.raises(TryAgainError, match="now has another schema under schema 7 than before") as failed:
        registry.schema(7, AVRO)
    assert failed.value.alert
