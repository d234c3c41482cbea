"""What tests and demo may expect of their Kafka and their PostgreSQL, whichever way these came to be here.

Runs against every backend of this machine; the header of the report names them.
"""

import secrets
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from confluent_kafka import KafkaError, KafkaException

from inbox.dev.backends import Backend, OwnServer, kafka_backends, postgres_backends
from inbox.dev.kafka_settings import LARGEST_RECORD_BYTES
from inbox.store.postgres.database_urls import with_database
from tests.support.kafka_topics import (
    cluster_id,
    create_topic,
    delete_topic,
    produce,
    read_committed,
    topic_id,
    transactional_producer,
    unique_name,
)

Test = Callable[..., Any]

KAFKAS = kafka_backends()
DATABASES = postgres_backends()
OWN_KAFKAS = [backend for backend in KAFKAS if backend.own is not None]
OWN_DATABASES = [backend for backend in DATABASES if backend.own is not None]


def each(backends: list[Backend]) -> Callable[[Test], Test | None]:
    """Runs a test once per backend; with none of them it is not collected."""
    if not backends:
        return lambda _test: None
    return pytest.mark.parametrize("backend", backends, ids=lambda backend: backend.kind, indirect=True, scope="module")


@pytest.fixture(scope="module")
def backend(request: pytest.FixtureRequest) -> Backend:
    chosen: Backend = request.param
    return chosen


@pytest.fixture(scope="module")
def address(backend: Backend) -> Iterator[str]:
    """A started server's address, shared by the tests that leave it running."""
    server = backend.make()
    try:
        server.start()
        yield server.address
    finally:
        server.close()


@pytest.fixture
def own(backend: Backend) -> Iterator[OwnServer]:
    """A started server that the test may end."""
    server = backend.make_own()
    try:
        server.start()
        yield server
    finally:
        server.close()


@each(KAFKAS)
def test_a_reader_of_committed_records_sees_no_aborted_ones(address: str) -> None:
    topic = create_topic(address)
    producer = transactional_producer(address, unique_name("writer"))
    for value, commit in ((b"first", True), (b"aborted", False), (b"second", True)):
        producer.begin_transaction()
        producer.produce(topic, value)
        producer.flush(120)
        end = producer.commit_transaction if commit else producer.abort_transaction
        end(20)

    assert [message.value() for message in read_committed(address, topic, 2)] == [b"first", b"second"]


@each(KAFKAS)
def test_a_second_producer_with_the_same_id_fences_the_first(address: str) -> None:
    topic, transactional_id = create_topic(address), unique_name("writer")
    first = transactional_producer(address, transactional_id)
    first.begin_transaction()
    first.produce(topic, b"of the zombie")
    first.flush(120)

    second = transactional_producer(address, transactional_id)
    with pytest.raises(KafkaException) as caught:
        first.commit_transaction(20)
    second.begin_transaction()
    second.produce(topic, b"of the heir")
    second.commit_transaction(20)

    assert caught.value.args[0].code() in (
        KafkaError._FENCED,
        KafkaError.PRODUCER_FENCED,
        KafkaError.INVALID_PRODUCER_EPOCH,
    )
    assert [message.value() for message in read_committed(address, topic, 1)] == [b"of the heir"]


@each(KAFKAS)
def test_a_topic_made_again_has_another_id(address: str) -> None:
    name = create_topic(address)
    before = topic_id(address, name)
    delete_topic(address, name)
    create_topic(address, name=name)
    assert topic_id(address, name) != before


@each(KAFKAS)
def test_the_cluster_has_an_id(address: str) -> None:
    assert len(cluster_id(address)) == 22


@each(OWN_KAFKAS)
def test_a_record_of_almost_32_mebibytes_goes_through(address: str) -> None:
    topic = create_topic(address, max_message_bytes=LARGEST_RECORD_BYTES)
    size = LARGEST_RECORD_BYTES - 1024
    producer = transactional_producer(address, unique_name("writer"), **{"message.max.bytes": LARGEST_RECORD_BYTES})
    producer.begin_transaction()
    producer.produce(topic, bytes(size))
    producer.commit_transaction(60)

    (message,) = read_committed(address, topic, 1)
    assert len(message.value() or b"") == size


@each(OWN_KAFKAS)
def test_records_survive_a_kill_of_the_broker(own: OwnServer) -> None:
    topic = create_topic(own.address)
    produce(own.address, topic, [b"before"])
    identity = topic_id(own.address, topic)

    own.kill()
    own.start()
    produce(own.address, topic, [b"after"])

    assert [message.value() for message in read_committed(own.address, topic, 2)] == [b"before", b"after"]
    assert topic_id(own.address, topic) == identity


def setting(url: str, name: str) -> str:
    with psycopg.connect(url) as connection:
        row = connection.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])


@each(DATABASES)
def test_postgresql_is_14_or_later(address: str) -> None:
    assert int(setting(address, "server_version_num")) >= 140_000


@each(OWN_DATABASES)
@pytest.mark.parametrize(
    ("name", "value"),
    [("fsync", "on"), ("synchronous_commit", "on"), ("wal_level", "logical"), ("max_connections", "200")],
)
def test_postgresql_is_set_up_as_in_production(address: str, name: str, value: str) -> None:
    assert setting(address, name) == value


@each(OWN_DATABASES)
def test_a_wrong_password_is_refused(address: str) -> None:
    user_and_password, _, rest = address.rpartition("@")
    wrong = f"{user_and_password.rpartition(':')[0]}:{secrets.token_hex(4)}@{rest}"
    with pytest.raises(psycopg.OperationalError) as caught:
        psycopg.connect(wrong)
    assert "28P01" in (caught.value.sqlstate or "") or "password authentication failed" in str(caught.value)


@each(OWN_DATABASES)
def test_a_missing_database_is_named(address: str) -> None:
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        psycopg.connect(with_database(address, "missing"))


@each(OWN_DATABASES)
def test_a_commit_survives_a_kill_of_the_server_and_an_open_transaction_does_not(own: OwnServer) -> None:
    with psycopg.connect(own.address) as connection:
        connection.execute("CREATE TABLE effects (name text)")
        connection.execute("INSERT INTO effects VALUES ('committed')")
    open_connection = psycopg.connect(own.address)
    open_connection.execute("INSERT INTO effects VALUES ('open')")

    own.kill()
    with pytest.raises(psycopg.OperationalError):
        open_connection.execute("SELECT 1")
    open_connection.close()
    own.start()

    with psycopg.connect(own.address) as connection:
        assert connection.execute("SELECT name FROM effects").fetchall() == [("committed",)]
