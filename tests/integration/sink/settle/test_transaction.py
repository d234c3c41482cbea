"""The transaction of a batch: its fence, its COMMIT, and what follows when either has no good answer."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest
from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from pydantic import SecretStr

from inbox.errors import HaltError, TryAgainError
from inbox.failpoints import Failpoint
from inbox.store.inbox.generations import Generations
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.batch_transaction import BatchTransaction
from inbox.store.postgres.connection import connect
from tests.support.kafka_topics import admin
from tests.support.sink.cut import CuttingProxy
from tests.support.sink.running import Out, Sink
from tests.support.waiting import eventually

At = Callable[..., None]

APPEND = """
[[routes]]
name = "append"
topic = "TOPIC"
[routes.table]
name = "public.appended"
mode = "append"
[routes.table.columns]
event = "/event"
"""


@pytest.fixture
def appending(sink: Sink) -> Sink:
    """A sink whose table takes every effect, also one that comes twice."""
    sink.sql("CREATE TABLE appended (position bigint GENERATED ALWAYS AS IDENTITY, event int)")
    sink.configure(APPEND)
    return sink


def send(sink: Sink, *numbers: int) -> None:
    sink.send(*(Out(number, {"event": number}) for number in numbers))


def appended(sink: Sink) -> list[int]:
    return sink.column("SELECT event FROM appended ORDER BY position")


# The fence.


def test_a_replay_that_sends_the_ledger_back_fences_the_batch_and_is_followed(appending: Sink, at: At) -> None:
    """As `inbox replay` does it: the offset goes back, the epoch goes up, the owner stays."""
    send(appending, 1, 2, 3)
    appending.run()
    send(appending, 4, 5)
    replay = "UPDATE inbox.partitions SET next_offset = 1, owner_epoch = owner_epoch + 1"
    at(Failpoint.HANDLED, lambda: appending.sql(replay))
    appending.run()
    assert appended(appending) == [1, 2, 3, 4, 5]
    # What is settled again counts no second time, whether or not more was settled behind it at once.
    assert appending.endings() == {"applied": 5}
    progress = "SELECT ARRAY[from_offset, until_offset, applied, duplicate] FROM inbox.progress"
    assert appending.column(progress) == [[0, 5, 5, 0]]


def test_while_another_worker_owns_the_partition_nothing_is_written(appending: Sink, at: At) -> None:
    send(appending, 1, 2, 3)
    takeover = "UPDATE inbox.partitions SET owner = 'another', owner_epoch = owner_epoch + 1"
    at(Failpoint.HANDLED, lambda: appending.sql(takeover))
    with appending.running():
        eventually(lambda: appending.column("SELECT owner FROM inbox.partitions") == ["another"], what="the takeover")
        assert appended(appending) == []
        assert appending.next_offsets() == {0: 0}
        # Kafka still assigns it here, so it is claimed again after the session timeout (6 s).
        appending.eventually_settled(3)
    assert appended(appending) == [1, 2, 3]
    assert appending.endings() == {"applied": 3}


def test_an_offset_that_moved_on_under_the_batch_is_not_settled_twice(appending: Sink, at: At) -> None:
    send(appending, 1, 2, 3)
    at(Failpoint.HANDLED, lambda: appending.sql("UPDATE inbox.partitions SET next_offset = 2"))
    appending.run()
    assert appended(appending) == [3]
    assert appending.endings() == {"applied": 1}


def test_a_changed_set_of_routes_stops_the_worker_that_has_the_old_one(appending: Sink, at: At) -> None:
    send(appending, 1)
    at(Failpoint.HANDLED, lambda: appending.sql("UPDATE inbox.sink SET routes_revision = routes_revision + 1"))
    with pytest.raises(HaltError, match="changed the set of routes"):
        appending.run()
    assert appended(appending) == []
    assert appending.next_offsets() == {0: 0}


# The COMMIT.


def test_a_commit_that_the_server_answers_with_rollback_is_no_success(database_url: str, at: At) -> None:
    options = DatabaseOptions(url=SecretStr(database_url))
    with closing(connect(options)) as connection:
        transaction = BatchTransaction(connection, handlers=False)
        transaction.begin()

        def abort() -> None:
            with pytest.raises(Exception, match="division by zero"):
                connection.execute("SELECT 1/0")

        at(Failpoint.COMMIT_SENT, abort)
        with pytest.raises(TryAgainError, match="PostgreSQL answered ROLLBACK"):
            transaction.commit()


def test_an_aborted_transaction_is_not_even_committed(database_url: str) -> None:
    options = DatabaseOptions(url=SecretStr(database_url))
    with closing(connect(options)) as connection:
        transaction = BatchTransaction(connection, handlers=False)
        transaction.begin()
        with pytest.raises(Exception, match="division by zero"):
            connection.execute("SELECT 1/0")
        with pytest.raises(TryAgainError, match="aborted before its COMMIT"):
            transaction.commit()


def test_a_transaction_that_was_ended_and_begun_anew_is_told_by_its_id(database_url: str) -> None:
    with closing(connect(DatabaseOptions(url=SecretStr(database_url)))) as connection:
        transaction = BatchTransaction(connection, handlers=True)
        transaction.begin()
        connection.execute("COMMIT")
        connection.execute("BEGIN")
        [(another,)] = connection.execute("SELECT pg_current_xact_id()::text")
        with pytest.raises(HaltError, match="committed outside the fence"):
            transaction.check_unbroken(another)


def test_a_connection_that_ends_before_the_commit_arrives_costs_nothing(appending: Sink, at: At) -> None:
    send(appending, 1, 2, 3)
    at(Failpoint.COMMIT_SENT, appending.end_its_connection)
    appending.run()
    assert appended(appending) == [1, 2, 3]
    assert appending.endings() == {"applied": 3}


def test_kafka_is_told_of_a_batch_only_after_its_commit(appending: Sink, at: At) -> None:
    fenced, held = threading.Event(), threading.Event()

    def hold() -> None:
        fenced.set()
        held.wait(120)

    with ExitStack() as stack:
        at(Failpoint.FENCED, hold)
        worker = stack.enter_context(appending.running())
        stack.callback(held.set)
        # A worker reminds Kafka of the ledger's offset when it acquires a partition, which would hide an early one.
        eventually(lambda: told(appending) == 0, what="the ledger's offset")
        send(appending, 1, 2, 3)
        assert fenced.wait(120)
        turned = worker.progress.last_turn
        eventually(lambda: worker.progress.last_turn - turned > 1.5, what="turns in which it could tell")
        told_early = told(appending)
        held.set()
        eventually(lambda: told(appending) == 3, what="what is told")
    assert told_early == 0


def told(sink: Sink) -> int | None:
    """The group's offset for partition 0."""
    group = ConsumerGroupTopicPartitions(sink.settings().kafka.group_id, [TopicPartition(sink.topic, 0)])
    client = admin(sink.bootstrap_servers)
    [found] = client.list_consumer_group_offsets([group]).values()
    offset = found.result(120).topic_partitions[0].offset
    return offset if offset >= 0 else None


@pytest.fixture
def proxy(appending: Sink) -> Iterator[CuttingProxy]:
    """Between the sink and its database."""
    with CuttingProxy(appending.database_url) as proxy:
        appending.configure(APPEND, database_url=proxy.database_url)
        yield proxy


def test_a_commit_whose_answer_is_lost_is_found_in_the_ledger(appending: Sink, at: At, proxy: CuttingProxy) -> None:
    send(appending, 1, 2, 3)
    at(Failpoint.COMMIT_SENT, proxy.lose_the_next_answer)
    appending.run()
    assert proxy.lost == 1
    assert appended(appending) == [1, 2, 3]
    assert appending.endings() == {"applied": 3}


@pytest.mark.parametrize("point", [Failpoint.BEGUN, Failpoint.CLAIMED, Failpoint.HANDLED, Failpoint.FENCED])
def test_a_connection_that_ends_at_any_step_is_opened_again(appending: Sink, at: At, point: Failpoint) -> None:
    send(appending, 1, 2, 3)
    at(point, appending.end_its_connection)
    appending.run()
    assert appended(appending) == [1, 2, 3]
    assert appending.endings() == {"applied": 3}


# Generations of claims.


def test_a_batch_under_which_another_generation_took_over_is_settled_in_that_one(appending: Sink, at: At) -> None:
    send(appending, 1, 2)
    appending.run()
    send(appending, 2, 3)

    def take_over() -> None:
        with closing(connect(DatabaseOptions(url=SecretStr(appending.database_url)))) as connection:
            Generations(connection, "inbox").switch(0)

    at(Failpoint.BEGUN, take_over)
    appending.run()
    assert appended(appending) == [1, 2, 3]
    assert appending.endings() == {"applied": 3, "duplicate": 1}
    assert appending.column("SELECT tableoid::regclass::text FROM inbox.processed ORDER BY 1") == [
        "inbox.processed",
        "inbox.processed_1",
        "inbox.processed_1",
    ]
