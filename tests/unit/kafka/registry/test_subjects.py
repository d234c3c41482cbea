"""The schema of a subject is found or registered once, refreshed beside the work, and kept while the registry is away.

The registry is confluent-kafka's own, in memory.
"""

from collections.abc import Callable, Iterator

import pytest

from inbox.errors import TryAgainError
from inbox.kafka.registry.client import RegistryAnswers
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.subjects import SubjectSchemas
from inbox.reading.schemas import SchemaKind, WrittenSchema
from tests.support.kafka_topics import unique_name
from tests.support.registry_stub import Answer, RegistryStub, refusal, registry_stub, schema_answer
from tests.support.schemas import avro
from tests.support.waiting import eventually

INT, LONG = avro("int", name="int.avsc"), avro("long", name="long.avsc")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def answers() -> RegistryAnswers:
    return RegistryAnswers(RegistryOptions(properties={"url": f"mock://{unique_name('registry')}"}))


@pytest.fixture
def clock() -> Clock:
    return Clock()


Make = Callable[..., SubjectSchemas]


@pytest.fixture
def make(answers: RegistryAnswers, clock: Clock) -> Make:
    def made(files: dict[str, WrittenSchema] | None = None, *, register: bool = False) -> SubjectSchemas:
        return SubjectSchemas(
            lambda: answers,
            SchemaKind.AVRO,
            files=files or {},
            register=register,
            clock=clock,
        )

    return made


def test_the_newest_schema_of_a_subject_is_found(make: Make, answers: RegistryAnswers) -> None:
    answers.registered("s", INT)
    newest = answers.registered("s", LONG)
    found = make().schema("s")
    assert (found.schema.text, found.version, found.schema_id) == ('"long"', 2, newest.schema_id)


def test_a_schema_of_a_file_is_registered_once(make: Make, answers: RegistryAnswers) -> None:
    first, second = (make({"s": INT}, register=True).schema("s") for _ in range(2))
    assert first.schema_id == second.schema_id
    assert answers.newest("s", SchemaKind.AVRO).version == 1


def test_a_schema_of_a_file_that_must_be_registered_already_is_found_although_a_newer_one_is_there(
    make: Make, answers: RegistryAnswers
) -> None:
    old = answers.registered("s", INT)
    answers.registered("s", LONG)
    assert make({"s": INT}).schema("s").schema_id == old.schema_id


def test_a_new_version_is_found_beside_the_work(make: Make, answers: RegistryAnswers, clock: Clock) -> None:
    answers.registered("s", INT)
    schemas = make()
    schemas.schema("s")
    newest = answers.registered("s", LONG)
    assert not schemas.refresh()
    clock.now = 61
    eventually(schemas.refresh, what="the new version")
    assert schemas.schema("s").schema_id == newest.schema_id


def test_a_doubted_schema_is_asked_for_again(make: Make, answers: RegistryAnswers) -> None:
    answers.registered("s", INT)
    schemas = make()
    schemas.schema("s")
    newest = answers.registered("s", LONG)
    schemas.doubt("s")
    assert schemas.schema("s").schema_id == newest.schema_id


@pytest.fixture
def stub() -> Iterator[RegistryStub]:
    with registry_stub() as running:
        yield running


def test_a_missing_subject_is_an_outage_that_names_the_remedies(stub: RegistryStub) -> None:
    def schemas(**files: WrittenSchema) -> SubjectSchemas:
        answers = RegistryAnswers(RegistryOptions(properties={"url": stub.url}))
        return SubjectSchemas(lambda: answers, SchemaKind.AVRO, files=files, register=False)

    stub.otherwise = refusal(404, 40401)
    with pytest.raises(TryAgainError, match="has no subject s; register its schema, or name a file") as raised:
        schemas().schema("s")
    assert raised.value.alert
    with pytest.raises(TryAgainError, match=r"does not have int.avsc under s; register it, or set \[outbox\] register"):
        schemas(s=INT).schema("s")


def test_a_known_schema_is_used_while_the_registry_is_away(stub: RegistryStub, clock: Clock) -> None:
    path = "/subjects/s/versions/latest"
    stub.answers[path] = schema_answer('"int"', subject="s", version=1, id=7)
    answers = RegistryAnswers(RegistryOptions(properties={"url": stub.url}))
    schemas = SubjectSchemas(lambda: answers, SchemaKind.AVRO, files={}, register=False, clock=clock)
    assert schemas.schema("s").schema_id == 7
    away: Answer = refusal(503, 50301)
    stub.answers[path] = away
    clock.now = 61
    eventually(lambda: not schemas.refresh() and len(stub.asked) > 1, what="a question")
    assert schemas.schema("s").schema_id == 7


@pytest.mark.parametrize(("status", "says"), [(409, "is not compatible"), (422, "is not valid")])
def test_a_schema_that_the_registry_refuses_calls_for_a_person(stub: RegistryStub, status: int, says: str) -> None:
    stub.otherwise = refusal(status, status)
    answers = RegistryAnswers(RegistryOptions(properties={"url": stub.url}))
    schemas = SubjectSchemas(lambda: answers, SchemaKind.AVRO, files={"s": INT}, register=True)
    with pytest.raises(TryAgainError, match=says) as raised:
        schemas.schema("s")
    assert raised.value.alert
