"""What a worker holds is bounded by its configuration, however much there is to read."""

from inbox.dev.backends import Servers
from tests.benchmarks.memory import filled, measure

VALUE_BYTES = 1_000_000
IMPORTED_MEGABYTES = 100
"""What a worker takes that has read nothing."""


def test_a_worker_far_behind_holds_a_few_batches_and_no_more(servers: Servers) -> None:
    topic = filled(servers, partitions=40, events=160, value_bytes=VALUE_BYTES)
    peak = measure(servers, topic, 160, batch_bytes="4 MiB")
    assert peak < IMPORTED_MEGABYTES + 8 * 4.2
