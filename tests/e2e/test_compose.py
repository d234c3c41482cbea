"""The order of examples/compose: published through the outbox, it arrives in the table."""

from pathlib import Path

from tests.conftest import MakeTopic
from tests.support.compose_example import take_the_order


def test_an_order_in_the_outbox_arrives_in_the_table_of_the_sink(
    bootstrap_servers: str, empty_database_url: str, make_topic: MakeTopic, tmp_path: Path
) -> None:
    topic = make_topic(partitions=4)

    rows = take_the_order(tmp_path, bootstrap_servers=bootstrap_servers, database_url=empty_database_url, topic=topic)

    assert rows == [(7, "Ada", "12.50")]
