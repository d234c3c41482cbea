"""An incident outside pytest, for a measurement."""

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.drill.incident import PARTITIONS, Incident, Order
from tests.support.databases import create_database, drop_database
from tests.support.ground import laid, prepare_template
from tests.support.kafka_topics import create_topic, delete_topic, unique_name


def say(text: str) -> None:
    """Print a line now: a person who waits for a measurement sees how far it is."""
    print(text, flush=True)


@contextmanager
def incident_alone(sent: Sequence[Order], *, sink: str = "") -> Iterator[Incident]:
    """Provide an incident, on the servers of INBOX_TEST_KAFKA and INBOX_TEST_DATABASE or on some of its own."""
    with laid(say) as ground, tempfile.TemporaryDirectory() as directory:
        servers, name = ground.servers, unique_name("drill")
        topics = [create_topic(servers.bootstrap_servers, None, PARTITIONS) for _ in range(2)]
        url = create_database(servers.database_url, name)
        prepare_template(url)
        try:
            yield Incident(
                Path(directory),
                sent,
                orders=topics[0],
                payments=topics[1],
                url=url,
                servers=servers.bootstrap_servers,
                sink=sink,
            )
        finally:
            drop_database(servers.database_url, name)
            for topic in topics:
                delete_topic(servers.bootstrap_servers, topic)
