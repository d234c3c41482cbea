"""`[sink] start = "group"`: where each partition begins, by what the group has committed."""

import pytest

from inbox.bootstrap.topics import LogExtent, starts_of_group
from inbox.errors import StartupError
from inbox.events import TopicPartition

A, B = TopicPartition("orders", 0), TopicPartition("orders", 1)
LOG = LogExtent({A: 10, B: 20}, {A: 15, B: 20})


def test_it_begins_where_the_group_stopped() -> None:
    assert starts_of_group("old", {A: 12, B: 20}, LOG) == {A: 12, B: 20}
    assert starts_of_group("old", {A: 15}, LOG) == {A: 15, B: 20}


@pytest.mark.parametrize(
    ("committed", "told"),
    [
        ({}, r"group old has committed no offset for orders\[0\], which holds 10 up to 15"),
        ({A: 9}, r"group old has committed offset 9 for orders\[0\], which holds 10 up to 15"),
        ({A: 16}, r"group old has committed offset 16 for orders\[0\]"),
    ],
)
def test_what_the_group_does_not_say_is_not_guessed(committed: dict[TopicPartition, int], told: str) -> None:
    with pytest.raises(StartupError, match=told):
        starts_of_group("old", committed, LOG)
