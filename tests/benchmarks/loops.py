"""What people write first: poll, execute, commit, in one thread; the offsets beside the rows, and no claims."""

import argparse
import json
import uuid
from collections.abc import Sequence

import psycopg
from confluent_kafka import Consumer, Message

from tests.benchmarks.orders import COLUMNS

UPSERT = (
    f"INSERT INTO orders ({', '.join(COLUMNS)}) VALUES ({', '.join(f'%({name})s' for name in COLUMNS)}) "  # noqa: S608
    f"ON CONFLICT (order_id) DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in COLUMNS[1:])}"
)
UPDATE = (
    f"UPDATE orders SET {', '.join(f'{name} = %({name})s' for name in COLUMNS[1:])} "  # noqa: S608
    "WHERE order_id = %(order_id)s"
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bootstrap_servers")
    parser.add_argument("topic")
    parser.add_argument("database_url")
    parser.add_argument("--batch", type=int, default=5000, help="events in a transaction")
    parser.add_argument("--one-by-one", action="store_true", help="a round trip for each event")
    parser.add_argument("--update", action="store_true", help="UPDATE in place of the upsert")
    arguments = parser.parse_args()
    consumer = Consumer(
        {
            "bootstrap.servers": arguments.bootstrap_servers,
            "group.id": f"{arguments.topic}-loop-{uuid.uuid4().hex}",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
        }
    )
    consumer.subscribe([arguments.topic])
    with psycopg.connect(arguments.database_url) as connection:
        while True:
            messages = consumer.consume(arguments.batch, timeout=0.5)
            if messages:
                _write(connection, UPDATE if arguments.update else UPSERT, messages, one_by_one=arguments.one_by_one)
                consumer.commit(asynchronous=True)


def _write(connection: psycopg.Connection, statement: str, messages: Sequence[Message], *, one_by_one: bool) -> None:
    rows = [json.loads(message.value() or b"") for message in messages]
    with connection.cursor() as cursor:
        if one_by_one:
            for row in rows:
                cursor.execute(statement.encode(), row)
        else:
            cursor.executemany(statement.encode(), rows)
    connection.commit()


if __name__ == "__main__":
    main()
