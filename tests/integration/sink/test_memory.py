"""What a worker holds is bounded by its configuration, however much there is to read."""

import pytest

from inbox.dev.backends import Servers
from tests.benchmarks.memory import MEGABYTE, Backlog, filled, measure, trial

pytestmark = pytest.mark.heavy

IMPORTED_MEGABYTES = 100
"""What a worker takes that has read nothing."""


def test_a_worker_far_behind_holds_a_few_batches_and_no_more(servers: Servers) -> None:
    topic = filled(servers, Backlog(events=160, partitions=40, value_bytes=1_000_000))
    assert measure(servers, topic, 160, batch_bytes="4 MiB") < IMPORTED_MEGABYTES + 8 * 4.2


def test_headers_are_bounded_as_values_are(servers: Servers) -> None:
    """Less than values need, for headers are not sent to the database."""
    topic = filled(servers, Backlog(events=4000, partitions=20, header_bytes=50_000))
    assert measure(servers, topic, 4000) < IMPORTED_MEGABYTES + 4 * 16.8


def test_parked_keys_are_not_kept_whole(servers: Servers) -> None:
    topic = filled(servers, Backlog(events=150, key_bytes=900_000, poison=True))
    with trial(servers, topic) as made:
        made.run(batch_bytes="4 MiB")
        Backlog(events=1).fill(servers.bootstrap_servers, topic)
        assert made.run(batch_bytes="4 MiB") < IMPORTED_MEGABYTES * MEGABYTE
        made.expect(rows=1, letters=150)


def test_what_decompresses_to_more_than_the_largest_event_is_held_twice_at_most(servers: Servers) -> None:
    """By librdkafka, which cannot bound it, and by Python, which takes it from there."""
    topic = filled(servers, Backlog(events=1, value_bytes=60 * MEGABYTE, codec="gzip"))
    with trial(servers, topic) as made:
        assert made.run() < (IMPORTED_MEGABYTES + 2 * 60) * MEGABYTE
        made.expect(letters=1)
