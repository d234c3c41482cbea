"""What a worker holds is bounded by its configuration, however much there is to read."""

from inbox.dev.backends import Servers
from tests.benchmarks.memory import Backlog, filled, measure

IMPORTED_MEGABYTES = 100
"""What a worker takes that has read nothing."""


def test_a_worker_far_behind_holds_a_few_batches_and_no_more(servers: Servers) -> None:
    topic = filled(servers, Backlog(events=160, partitions=40, value_bytes=1_000_000))
    assert measure(servers, topic, 160, batch_bytes="4 MiB") < IMPORTED_MEGABYTES + 8 * 4.2


def test_headers_are_bounded_as_values_are(servers: Servers) -> None:
    """Less than values need, for headers are not sent to the database."""
    topic = filled(servers, Backlog(events=4000, partitions=20, header_bytes=50_000))
    assert measure(servers, topic, 4000) < IMPORTED_MEGABYTES + 4 * 16.8
