"""What the printed configuration is for: a slot that was made before, a quiet outbox, a slot that was lost."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from confluent_kafka import Consumer

from inbox.dev.backends import Servers
from tests.interop.capture import CapturedOutbox, captured_outbox
from tests.support.kafka_topics import create_topic, unique_name
from tests.support.waiting import eventually

INSERT = "INSERT INTO inbox.outbox (event_id, topic, type, payload) VALUES (%s, %s, 'Event', '1')"
MAKE_SLOT = "SELECT pg_create_logical_replication_slot(%s, 'pgoutput')"
DROP_SLOT = "SELECT pg_drop_replication_slot(%s)"
CONFIRMED = "SELECT confirmed_flush_lsn >= %s::pg_lsn FROM pg_replication_slots WHERE slot_name = %s"


class Reader:
    """The event ids that are in a topic so far, in order of arrival."""

    def __init__(self, bootstrap_servers: str, topic: str) -> None:
        self._consumer = Consumer(
            {"bootstrap.servers": bootstrap_servers, "group.id": unique_name("reader"), "auto.offset.reset": "earliest"}
        )
        self._consumer.subscribe([topic])
        self._seen: list[UUID] = []

    def until(self, *wanted: UUID) -> list[UUID]:
        """All that was read since the last call, once these were."""

        def are_there() -> bool:
            if (message := self._consumer.poll(0.2)) is not None and message.error() is None:
                header = dict(message.headers() or [])["event_id"]
                self._seen.append(UUID(header.decode() if isinstance(header, bytes) else header))
            return set(wanted) <= set(self._seen)

        eventually(are_there, within=60, what="the events")
        seen, self._seen = self._seen, []
        return seen

    def close(self) -> None:
        self._consumer.close()


def insert(outbox: CapturedOutbox, topic: str) -> UUID:
    event_id = uuid4()
    outbox.execute(INSERT, event_id, topic)
    return event_id


@pytest.mark.timeout(300)
def test_a_slot_made_before_a_quiet_outbox_and_a_lost_slot(servers: Servers, tmp_path: Path) -> None:
    topic = create_topic(servers.bootstrap_servers)
    reader = Reader(servers.bootstrap_servers, topic)
    with (
        captured_outbox(servers.database_url, servers.bootstrap_servers, tmp_path) as outbox,
        outbox.worker(offset_flush_interval_ms="1000") as connect,
    ):
        # taken over from the relay: what was committed before the slot, the relay has sent
        insert(outbox, topic)
        outbox.execute(MAKE_SLOT, outbox.name)
        between = insert(outbox, topic)
        connect.start()
        connect.run(outbox.name, {**outbox.connector, "snapshot.mode": "no_data"})
        after = insert(outbox, topic)
        assert reader.until(between, after) == [between, after]

        # a busy database beside a quiet outbox
        outbox.execute("CREATE TABLE busy AS SELECT generate_series(1, 1000)")
        ((lsn,),) = outbox.execute("SELECT pg_current_wal_lsn()")
        eventually(lambda: outbox.execute(CONFIRMED, lsn, outbox.name) == [(True,)], within=60, what="a heartbeat")

        # the slot is lost while nobody reads it
        connect.stop()
        eventually(lambda: dropped(outbox), within=30, what="the end of the slot's reader")
        missed = insert(outbox, topic)
        connect.start()
        connect.run(outbox.name, outbox.connector)
        last = insert(outbox, topic)
        assert len(reader.until(missed, last)) == 5, "the snapshot reads the outbox as it is"
    reader.close()


def dropped(outbox: CapturedOutbox) -> bool:
    active = "SELECT active FROM pg_replication_slots WHERE slot_name = %s"
    if outbox.execute(active, outbox.name) == [(True,)]:
        return False
    outbox.execute(DROP_SLOT, outbox.name)
    return True
