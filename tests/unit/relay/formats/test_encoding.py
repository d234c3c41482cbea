"""The relay finds the schema of each event, frames the payload, and sends nothing that does not fit."""

from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from inbox.errors import TryAgainError
from inbox.kafka.registry.client import NewestSchema
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.subjects import SubjectSchemas
from inbox.relay.formats.encoding import EncodingProducer, PayloadEncoder
from inbox.relay.formats.options import EncodingOptions, OutboxFormat, SubjectNaming
from inbox.relay.producer import Headers, Producer
from tests.support.schemas import avro, json_schema

REGISTRY = RegistryOptions(properties={"url": "http://registry"})
SMALL, LARGE = NewestSchema(avro("int"), 1, 7), NewestSchema(avro("long"), 2, 300)


@dataclass
class Schemas:
    """Schemas by subject that a test changes."""

    newest: dict[str, NewestSchema] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    doubted: list[str] = field(default_factory=list)
    changed: bool = False

    def schema(self, subject: str) -> NewestSchema:
        self.asked.append(subject)
        return self.newest[subject]

    def doubt(self, subject: str) -> None:
        self.doubted.append(subject)

    def refresh(self) -> bool:
        changed, self.changed = self.changed, False
        return changed


def encoder(schemas: Schemas, **options: Any) -> PayloadEncoder:
    found = EncodingOptions(**{"format": OutboxFormat.AVRO, "registry": REGISTRY, **options})
    return PayloadEncoder(found, cast("SubjectSchemas", schemas))


def test_a_payload_follows_the_magic_byte_and_the_id_of_its_schema() -> None:
    schemas = Schemas({"orders-value": LARGE})
    made = encoder(schemas)
    assert [made.encode("orders", "T", b"-1") for _ in range(3)] == [b"\x00\x00\x00\x01\x2c\x01"] * 3
    assert schemas.asked == ["orders-value"]


@pytest.mark.parametrize(
    ("naming", "subject"),
    [("topic", "orders-value"), ("record", "shop.Paid"), ("topic-record", "orders-shop.Paid")],
)
def test_the_subject_is_named_by_topic_or_type(naming: str, subject: str) -> None:
    assert encoder(Schemas({subject: SMALL}), naming=SubjectNaming(naming)).encode("orders", "shop.Paid", b"1")


def test_a_payload_that_does_not_fit_is_an_outage_and_its_schema_is_asked_for_again() -> None:
    schemas = Schemas({"orders-value": SMALL})
    made = encoder(schemas)
    with pytest.raises(TryAgainError, match="for orders does not fit orders-value version 1") as raised:
        made.encode("orders", "T", b"3000000000")
    assert (raised.value.away, raised.value.alert) == ("registry", True)
    assert "3000000000" not in str(raised.value)
    assert schemas.doubted == ["orders-value"]
    schemas.newest["orders-value"] = LARGE
    assert made.encode("orders", "T", b"3000000000")


def test_json_is_sent_as_it_is_behind_its_id_if_its_schema_allows_it() -> None:
    schemas = Schemas({"orders-value": NewestSchema(json_schema({"required": ["id"]}), 1, 7)})
    made = encoder(schemas, format=OutboxFormat.JSON_SCHEMA)
    assert made.encode("orders", "T", b'{"id":  1.50}') == b'\x00\x00\x00\x00\x07{"id":  1.50}'
    with pytest.raises(TryAgainError, match='rule "required"'):
        made.encode("orders", "T", b"{}")


def test_copies_of_dead_letters_stay_plain_json() -> None:
    assert encoder(Schemas(), plain_topics=frozenset(["dead"])).encode("dead", "DeadLetter", b"{}") == b"{}"


def test_a_schema_that_cannot_be_used_is_an_outage() -> None:
    with pytest.raises(TryAgainError, match=r'subject orders-value: .*the type "nope" is not defined'):
        encoder(Schemas({"orders-value": NewestSchema(avro("nope"), 1, 7)})).encode("orders", "T", b"1")


class Sender:
    """Keeps what is sent."""

    in_transactions = True

    def __init__(self) -> None:
        self.values: list[bytes | None] = []

    def may_share(self, topic: str, key: str) -> bool:
        return True

    def send(self, token: int, topic: str, key: str, value: bytes | None, headers: Headers) -> None:
        self.values.append(value)

    def poll(self, seconds: float) -> None:
        """No reports."""

    def begin(self) -> None:
        """A transaction."""

    def commit(self) -> None:
        """It ends."""

    def discard(self) -> None:
        """Nothing is held."""


def test_a_new_version_is_used_from_the_next_transaction_on() -> None:
    schemas, sender = Schemas({"orders-value": SMALL}), Sender()
    producer = EncodingProducer(cast("Producer", sender), encoder(schemas))

    def send() -> None:
        producer.send(1, "orders", "a", b"1", [("event_id", "x"), ("type", "T")])

    producer.begin()
    send()
    schemas.newest["orders-value"], schemas.changed = LARGE, True
    producer.poll(0)
    send()
    producer.commit()
    producer.poll(0)
    producer.begin()
    send()
    assert [value and value[:5] for value in sender.values] == [
        b"\x00\x00\x00\x00\x07",
        b"\x00\x00\x00\x00\x07",
        b"\x00\x00\x00\x01\x2c",
    ]


def test_a_tombstone_stays_one() -> None:
    sender = Sender()
    EncodingProducer(cast("Producer", sender), encoder(Schemas())).send(1, "orders", "a", None, [])
    assert sender.values == [None]
