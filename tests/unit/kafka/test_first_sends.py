"""Which messages go alone."""

from inbox.kafka.first_sends import FORGET_SECONDS, FirstSends


def steps(partitions: int) -> FirstSends:
    made = FirstSends()
    made.add("orders", partitions)
    return made


def test_the_first_to_a_topic_goes_alone_and_the_next_of_its_key_does_not() -> None:
    first = steps(2)
    assert not first.may_share("orders", "a", 0.0)

    first.delivered("orders", "a", 1)

    assert first.may_share("orders", "a", 0.0)
    assert not first.may_share("orders", "b", 0.0)


def test_once_every_partition_is_known_any_key_is() -> None:
    first = steps(2)

    first.delivered("orders", "a", 1)
    first.delivered("orders", "b", 0)

    assert first.may_share("orders", "c", 0.0)


def test_topics_are_apart() -> None:
    first = steps(1)
    first.add("bills", 1)
    first.delivered("orders", "a", 0)

    assert not first.may_share("bills", "a", 0.0)


def test_after_a_while_it_begins_anew() -> None:
    first = steps(1)
    first.delivered("orders", "a", 0)
    assert first.may_share("orders", "a", FORGET_SECONDS - 1)

    assert not first.may_share("orders", "a", FORGET_SECONDS)
