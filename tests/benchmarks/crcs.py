"""What `check.crcs` costs: the same records read by turns with and without it, in this process's own CPU time.

Nothing is decoded and nothing written, so that what is compared is librdkafka's part alone. A whole sink spends several
times as much on an event.
"""

import argparse
import statistics
import time
from typing import Any

from confluent_kafka import Consumer, TopicPartition

from inbox.dev.backends import servers
from inbox.kafka.consumer_properties import consumer_properties
from inbox.kafka.options import KafkaOptions
from tests.benchmarks.orders import value
from tests.support.kafka_topics import create_topic, idempotent_producer

BATCH_BYTES = 16 << 20


def fill(bootstrap_servers: str, events: int) -> str:
    topic = create_topic(bootstrap_servers)
    producer = idempotent_producer(bootstrap_servers, **{"linger.ms": 20, "queue.buffering.max.messages": 2 * events})
    for number in range(events):
        producer.produce(topic, value(number), partition=0)
        producer.poll(0)
    assert producer.flush(60) == 0
    return topic


def read(bootstrap_servers: str, topic: str, events: int, *, checked: bool) -> float:
    """The microseconds of CPU for each record."""
    options = KafkaOptions(group_id="crcs", properties={"bootstrap.servers": bootstrap_servers})
    properties: dict[str, Any] = {**consumer_properties(options, batch_bytes=BATCH_BYTES)}
    consumer = Consumer({**properties, "check.crcs": checked})
    began, taken = time.process_time(), 0
    consumer.assign([TopicPartition(topic, 0, 0)])
    while taken < events:
        taken += sum(message.error() is None for message in consumer.consume(2000, 1))
    seconds = time.process_time() - began
    consumer.close()
    return seconds / events * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    with servers(progress=print) as running:
        topic = fill(running.bootstrap_servers, arguments.events)
        figures: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(arguments.rounds):
            for checked, found in figures.items():
                found.append(read(running.bootstrap_servers, topic, arguments.events, checked=checked))
    without, checked_too = (statistics.median(found) for found in figures.values())
    print(f"CPU of an event, librdkafka and its Python objects alone, median of {arguments.rounds} rounds by turns:")
    print(f"  check.crcs=false {without:.3f} us   check.crcs=true {checked_too:.3f} us")
    print(f"  ratio {checked_too / without:.3f}, {checked_too - without:+.3f} us an event")


if __name__ == "__main__":
    main()
