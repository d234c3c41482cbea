"""What people write first: poll, execute, commit, in one thread; the offsets beside the rows, and no claims."""

import argparse
import json
from collections.abc import Sequence

import psycopg
from confluent_kafka import Consumer, Message

from tests.benchmarks.orders import COLUMNS

UPSERT = (
    f"INSERT INTO orders ({', '.join(COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in COLUMNS)}) "  # noqa: S608
    f"ON CONFLICT (order_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in COLUMNS[1:])}"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap_servers")
    parser.add_argument("topic")
    parser.add_argument("database_url")
    parser.add_argument("--batch", type=int, default=5000, help="events in a transaction")
    arguments = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap_servers,
            "group.id": f"{arguments.topic}-loop-{arguments.batch}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([arguments.topic])
    with psycopg.connect(arguments.database_url) as connection:
        while True:
            messages = consumer.consume(arguments.batch, timeout=0.5)
            if messages:
                _write(connection, messages)
                consumer.commit(asynchronous=True)


def _write(connection: psycopg.Connection, messages: Sequence[Message]) -> None:
    rows = [json.loads(message.value() or b"") for message in messages]
    with connection.cursor() as cursor:
        cursor.executemany(UPSERT.encode(), rows)
    connection.commit()


if __name__ == "__main__":
    main()
