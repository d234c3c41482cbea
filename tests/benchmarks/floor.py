"""The least that is between Kafka and a visible row: poll, one INSERT, COMMIT; no claims, no ledger, nothing checked.

What the sink adds is its latency less this one's, in one run on one machine.
"""

import sys

import orjson
import psycopg
from confluent_kafka import Consumer, TopicPartition

from tests.benchmarks.orders import PARTITIONS

INSERT = "INSERT INTO seen (sent_at, note) SELECT * FROM unnest(%s::bigint[], %s::text[])"
POLL_SECONDS = 0.1
MOST_AT_ONCE = 5000


def run(bootstrap_servers: str, topic: str, database_url: str) -> None:
    """Until it is ended; prints a line once it reads."""
    consumer = Consumer(
        {
            "bootstrap.servers": bootstrap_servers,
            "group.id": "floor",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 100,
            "fetch.queue.backoff.ms": 5,
        }
    )
    consumer.assign([TopicPartition(topic, number, 0) for number in range(PARTITIONS)])
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.prepare_threshold = 0
        print("reading", flush=True)
        while True:
            if (first := consumer.poll(POLL_SECONDS)) is None:
                continue
            messages = [first, *consumer.consume(MOST_AT_ONCE, 0)]
            events = [orjson.loads(message.value()) for message in messages if message.error() is None]
            connection.execute(INSERT, ([each["sent_at"] for each in events], [each["note"] for each in events]))


if __name__ == "__main__":
    run(*sys.argv[1:])
