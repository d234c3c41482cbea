"""Three consumers without an inbox, as they are commonly written, to be killed beside the sink.

    python -m inbox.dev.demo.weak GUARANTEE BOOTSTRAP_SERVERS DATABASE_URL TOPIC

Each takes batches of records, applies each record in a database transaction of its own, and ends once it
has met the end of every partition. They differ only in when Kafka is told.
"""

import sys

import orjson
import psycopg
from confluent_kafka import Consumer, KafkaError, Message
from inventory.handlers import RESERVE, TAKE_STOCK

NONE = "none"
AT_MOST_ONCE = "at most once"
AT_LEAST_ONCE = "at least once"
_BATCH = 100


def consume(guarantee: str, bootstrap_servers: str, database_url: str, topic: str) -> None:
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": f"demo {guarantee}",
            # A member with a fixed name gets its partitions back at once after a crash, instead of after
            # the session timeout.
            "group.instance.id": "demo",
            "enable.auto.commit": guarantee == NONE,
            "auto.offset.reset": "earliest",
            "enable.partition.eof": True,
            "log_level": 0,
        }
    )
    consumer.subscribe([topic])
    ended: set[int | None] = set()
    with psycopg.connect(database_url, autocommit=True) as connection:
        while not ended or len(ended) < len(consumer.assignment()):
            messages = consumer.consume(_BATCH, 0.2)
            records = [message for message in messages if message.error() is None]
            ended -= {record.partition() for record in records}
            ended |= {m.partition() for m in messages if _is_end(m)}
            _take(guarantee, consumer, connection, records)
    consumer.close()


def _take(
    guarantee: str, consumer: Consumer, connection: psycopg.Connection[tuple[object, ...]], records: list[Message]
) -> None:
    if not records:
        return
    if guarantee == AT_MOST_ONCE:
        consumer.commit(asynchronous=False)
    for record in records:
        apply(connection, record)
    if guarantee == AT_LEAST_ONCE:
        consumer.commit(asynchronous=False)


def apply(connection: psycopg.Connection[tuple[object, ...]], record: Message) -> None:
    """The effect of the example's handler, without its claim."""
    order = orjson.loads(record.value() or b"{}")
    event_id = dict(record.headers() or [])["event_id"]
    text = event_id.decode() if isinstance(event_id, bytes) else event_id
    with connection.transaction():
        connection.execute(TAKE_STOCK, (order["quantity"], order["sku"]))
        connection.execute(RESERVE, (text, order["order_id"], order["sku"], order["quantity"]))


def _is_end(message: Message) -> bool:
    error = message.error()
    return error is not None and error.code() == KafkaError._PARTITION_EOF


if __name__ == "__main__":
    consume(*sys.argv[1:5])
