"""A reader beside the group, as an audit and a replay's preview use it."""

from contextlib import closing

from inbox.dev.backends import Servers
from inbox.events import TopicPartition
from inbox.kafka.log.reader import LogReader
from inbox.kafka.options import KafkaOptions
from tests.support.kafka_topics import create_topic, produce
from tests.support.waiting import taking_at_most


def test_a_reader_does_not_wait_a_second_for_each_topic(servers: Servers) -> None:
    topics = [create_topic(servers.bootstrap_servers) for _ in range(6)]
    for topic in topics:
        produce(servers.bootstrap_servers, topic, [b"1", b"2"])
    options = KafkaOptions(group_id="none", properties={"bootstrap.servers": servers.bootstrap_servers})
    with closing(LogReader(options, batch_bytes=1 << 20)) as reader, taking_at_most(4.0):
        for topic in topics:
            [(records, reached)] = reader.read(TopicPartition(topic, 0), 0, 2)
            assert ([record.value() for record in records], reached) == ([b"1", b"2"], 2)
