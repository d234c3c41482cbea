"""Each answer of a registry is a schema, an unknown id or an outage, and is bounded."""

from collections.abc import Iterator
from uuid import UUID

import pytest

from inbox.errors import StartupError, TryAgainError
from inbox.kafka.registry.client import RegistryAnswers, UnknownSchemaError
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.schemas import schema_registry
from inbox.reading.schemas import MOST_REFERENCES, Reference, SchemaError, SchemaKind
from tests.support.registry_stub import Answer, RegistryStub, refusal, registry_stub, schema_answer

AVRO = SchemaKind.AVRO


@pytest.fixture
def stub() -> Iterator[RegistryStub]:
    with registry_stub() as running:
        yield running


def options(url: str, **properties: str) -> RegistryOptions:
    return RegistryOptions(properties={"url": url, "timeout": "2", **properties})


@pytest.fixture
def registry(stub: RegistryStub) -> RegistryAnswers:
    return RegistryAnswers(options(stub.url))


def test_a_schema_comes_with_its_kind(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer('"int"')
    found = registry.schema(7, AVRO)
    assert (found.kind, found.text, found.name) == (AVRO, '"int"', "schema 7")


def test_a_schema_is_found_by_its_guid(stub: RegistryStub, registry: RegistryAnswers) -> None:
    guid = UUID(int=7)
    stub.answers[f"/schemas/guids/{guid}"] = schema_answer('"int"', guid=str(guid))
    assert registry.schema(guid, AVRO).text == '"int"'


def test_protobuf_that_was_registered_as_text_is_asked_for_as_descriptors(
    stub: RegistryStub, registry: RegistryAnswers
) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer('syntax = "proto3";', "PROTOBUF")
    stub.answers["/schemas/ids/7?format=serialized"] = schema_answer("AAAA", "PROTOBUF")
    assert registry.schema(7, SchemaKind.PROTOBUF).text == "AAAA"


def test_protobuf_that_was_registered_as_descriptors_is_taken_as_it_is(
    stub: RegistryStub, registry: RegistryAnswers
) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer("AAAA", "PROTOBUF")
    assert registry.schema(7, SchemaKind.PROTOBUF).text == "AAAA"
    assert stub.asked == ["/schemas/ids/7"]


def test_protobuf_that_the_registry_fails_to_convert_names_the_remedy(
    stub: RegistryStub, registry: RegistryAnswers
) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer('syntax = "proto3";', "PROTOBUF")
    stub.answers["/schemas/ids/7?format=serialized"] = refusal(500, 0)
    with pytest.raises(TryAgainError, match=r"fails to make descriptors of it .*; see its log, or register") as raised:
        registry.schema(7, SchemaKind.PROTOBUF)
    assert raised.value.alert


def test_a_schema_of_another_kind_is_not_asked_for_as_descriptors(
    stub: RegistryStub, registry: RegistryAnswers
) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer('{"type": "string"}')
    stub.answers["/schemas/ids/7?format=serialized"] = refusal(400)  # as Apicurio answers
    with pytest.raises(SchemaError, match=r'schema 7 is of type AVRO, .*; set format = "avro"'):
        registry.schema(7, SchemaKind.PROTOBUF)


def test_a_registry_without_tls_is_not_said_to_have_a_certificate(stub: RegistryStub) -> None:
    with pytest.raises(TryAgainError, match=r"does not speak TLS; set .* url to http://") as raised:
        RegistryAnswers(options(stub.url.replace("http://", "https://"))).schema(7, AVRO)
    assert raised.value.alert


def reference(name: str, subject: str) -> dict[str, object]:
    return {"name": name, "subject": subject, "version": 1}


def test_references_come_after_those_that_they_need(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers |= {
        "/schemas/ids/7": schema_answer("m", references=[reference("b", "B"), reference("a", "A")]),
        "/subjects/B/versions/1": schema_answer("b", references=[reference("a", "A")], subject="B", version=1, id=2),
        "/subjects/A/versions/1": schema_answer("a", subject="A", version=1, id=1),
    }
    assert registry.schema(7, AVRO).references == (Reference("a", "a"), Reference("b", "b"))


def test_references_in_a_circle_end(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers |= {
        "/schemas/ids/7": schema_answer("m", references=[reference("a", "A")]),
        "/subjects/A/versions/1": schema_answer("a", references=[reference("a", "A")], subject="A", version=1, id=1),
    }
    assert registry.schema(7, AVRO).references == (Reference("a", "a"),)


def test_the_number_of_references_is_bounded(stub: RegistryStub, registry: RegistryAnswers) -> None:
    names = [f"S{number}" for number in range(MOST_REFERENCES + 2)]
    stub.answers["/schemas/ids/7"] = schema_answer("m", references=[reference(name, name) for name in names])
    for name in names:
        stub.answers[f"/subjects/{name}/versions/1"] = schema_answer("a", subject=name, version=1, id=1)
    with pytest.raises(SchemaError, match="schema 7 refers to more than is read"):
        registry.schema(7, AVRO)


def test_a_reference_that_is_missing_is_named(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer("m", references=[reference("a", "A")])
    with pytest.raises(SchemaError, match="schema 7 refers to A version 1, which the registry does not have"):
        registry.schema(7, AVRO)


def test_a_schema_of_another_kind_names_the_remedy(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer("{}", "JSON")
    with pytest.raises(
        SchemaError, match='schema 7 is of type JSON, and the route has format = "avro"; set format = "j'
    ):
        registry.schema(7, AVRO)


def test_an_id_that_the_registry_does_not_know_is_no_outage(registry: RegistryAnswers) -> None:
    with pytest.raises(UnknownSchemaError):
        registry.schema(7, AVRO)


@pytest.mark.parametrize(
    ("answer", "reason", "alert"),
    [
        (refusal(500, 50001), "server", False),
        (refusal(503, 0), "server", False),
        (refusal(429, 0), "server", False),
        (refusal(401, 40101), "login", True),
        (refusal(403, 40301), "right", True),
        (refusal(302, 0), "path", True),
        (refusal(404, 404), "path", True),
        ((404, b"<html>"), "path", True),
        ((200, b"<html>"), "garbage", True),
        ((200, b"[]"), "garbage", True),
        ((200, b'{"id": 7}'), "garbage", True),
        ((200, b""), "garbage", True),
        (refusal(422, 42201), "refused", True),
    ],
)
def test_any_other_answer_is_an_outage(
    stub: RegistryStub, registry: RegistryAnswers, answer: Answer, reason: str, alert: bool
) -> None:
    stub.answers["/schemas/ids/7"] = answer
    with pytest.raises(TryAgainError) as failed:
        registry.schema(7, AVRO)
    assert (failed.value.away, failed.value.reason, failed.value.alert) == ("registry", reason, alert)
    assert "\n" not in str(failed.value)


def test_an_answer_without_end_is_cut_off(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers["/schemas/ids/7"] = schema_answer("x" * 5_000_000)
    with pytest.raises(SchemaError, match="answered with more than 4194304 bytes"):
        registry.schema(7, AVRO)


@pytest.mark.parametrize("host", ["127.0.0.1:1", "no-such-host.invalid"])
def test_a_registry_that_does_not_answer_is_an_outage(host: str) -> None:
    with pytest.raises(TryAgainError, match=r"the schema registry at http://.* does not answer") as failed:
        RegistryAnswers(options(f"http://{host}")).schema(7, AVRO)
    assert (failed.value.away, failed.value.reason, failed.value.alert) == ("registry", "unreachable", False)


def test_the_newest_schema_of_a_subject_has_its_version(stub: RegistryStub, registry: RegistryAnswers) -> None:
    stub.answers["/subjects/orders-value/versions/latest"] = schema_answer(
        '"int"', subject="orders-value", version=3, id=9
    )
    newest = registry.newest("orders-value", AVRO)
    assert (newest.version, newest.schema_id, newest.schema.name) == (3, 9, "orders-value version 3")


def test_a_start_needs_the_address_of_a_registry(stub: RegistryStub) -> None:
    stub.answers["/schemas/types"] = (200, b'["AVRO"]')
    schema_registry(options(stub.url)).require()
    with pytest.raises(StartupError, match=r"check the path of \[registry\] url"):
        schema_registry(options(f"{stub.url}/wrong")).require()


def test_a_property_that_the_client_refuses_is_named_without_its_value() -> None:
    with pytest.raises(StartupError, match=r"\[registry\] basic.auth.user.info must be in the form") as refused:
        RegistryAnswers(options("http://x", **{"basic.auth.user.info": "hidden"}))
    assert "hidden" not in str(refused.value)


def test_secrets_are_not_in_the_repr() -> None:
    assert "hidden" not in repr(options("http://x", **{"basic.auth.user.info": "a:hidden"}))


def test_an_answer_that_comes_byte_by_byte_is_an_outage(
    stub: RegistryStub, registry: RegistryAnswers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("inbox.kafka.registry.client._LONGEST_ANSWER_SECONDS", 0.1)
    stub.answers["/schemas/ids/7"] = schema_answer('"int"')
    stub.drip_seconds = 0.02
    with pytest.raises(TryAgainError, match="sends an answer for longer than"):
        registry.schema(7, AVRO)
    stub.drip_seconds = 0
    assert registry.schema(7, AVRO).text == '"int"'
