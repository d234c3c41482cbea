"""A record that a route has read stays a record."""

from inbox.events import KeptRecord
from inbox.reading.read_record import ReadRecord

POLLED = KeptRecord(("orders", 3, 42), b"key", b"value", [("type", b"OrderCreated")], (1, 1_700_000_000_000), epoch=7)


def test_a_read_record_shows_the_record_as_kafka_holds_it() -> None:
    read = ReadRecord(POLLED, row={"order_id": 1})
    assert (read.topic(), read.partition(), read.offset()) == ("orders", 3, 42)
    assert (read.key(), read.value(), read.headers()) == (b"key", b"value", [("type", b"OrderCreated")])
    assert (read.timestamp(), read.leader_epoch()) == ((1, 1_700_000_000_000), 7)
