"""Ids of events that nobody gave one: UUIDv7, RFC 9562."""

import time
from uuid import RFC_4122

from inbox.events import new_event_id


def test_it_is_a_version_7() -> None:
    made = new_event_id()

    assert (made.version, made.variant) == (7, RFC_4122)


def test_it_begins_with_the_milliseconds() -> None:
    before = time.time_ns() // 1_000_000
    made = new_event_id()
    after = time.time_ns() // 1_000_000

    assert before <= made.int >> 80 <= after


def test_none_is_given_twice_and_they_rise() -> None:
    made = [new_event_id() for _ in range(10_000)]

    assert len(set(made)) == len(made)
    times = [each.int >> 64 for each in made]
    assert times == sorted(times)
