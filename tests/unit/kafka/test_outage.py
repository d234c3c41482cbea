"""When an outage of Kafka begins and ends, from what librdkafka tells."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError
from hypothesis import given
from hypothesis import strategies as st

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.errors import translate
from inbox.kafka.outage import KafkaOutage
from tests.support.log_lines import capture_logs

HERE, THERE = TopicPartition("topic", 0), TopicPartition("topic", 1)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


@pytest.fixture
def outage(lines: list[Any]) -> Iterator[KafkaOutage]:
    outage = KafkaOutage()
    outage.assigned([HERE, THERE])
    yield outage
    outage.close()


def told(lines: list[Any]) -> list[str]:
    return [line.get("reason", "over") if line["event"] == "outage" else "over" for line in lines]


def tick(
    outage: KafkaOutage,
    broker: str = "UP",
    group: str = "up",
    join: str = "steady",
    leaders: dict[int, int] | None = None,
) -> None:
    brokers = {"b": {"state": broker, "source": "learned"}, ":0/internal": {"state": "UP", "source": "internal"}}
    topics = {"topic": {"partitions": {str(number): {"leader": leader} for number, leader in (leaders or {}).items()}}}
    told = {"brokers": brokers, "cgrp": {"state": group, "join_state": join}, "topics": topics}
    outage.statistics(json.dumps(told))


def refused(outage: KafkaOutage, code: int, where: TopicPartition | None) -> None:
    failure = translate(KafkaError(code), "reading")
    assert isinstance(failure, TryAgainError)
    outage.refused(KafkaError(code), where, failure)


def test_a_broker_that_is_away_while_others_answer_is_no_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    outage.happened(KafkaError(KafkaError._TRANSPORT))
    assert told(lines) == []


def test_what_is_told_after_the_close_is_no_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    outage.close()
    outage.happened(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    assert told(lines) == []
    assert not outage.brokers_away


def test_all_brokers_away_is_told_once_and_once_that_they_are_back(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(3):
        outage.happened(KafkaError(KafkaError._TRANSPORT))
        outage.happened(KafkaError(KafkaError._ALL_BROKERS_DOWN))
        tick(outage, "TRY_CONNECT", "query-coord", "init")
    assert outage.brokers_away
    tick(outage)
    tick(outage)
    assert not outage.brokers_away
    assert told(lines) == ["brokers", "over"]


def test_an_outage_says_why_and_another_reason_once_more(outage: KafkaOutage, lines: list[Any]) -> None:
    outage.happened(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    outage.happened(KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))
    outage.happened(KafkaError(KafkaError._AUTHENTICATION, "no"))
    outage.happened(KafkaError(KafkaError._TRANSPORT, "connection refused"))
    assert told(lines) == ["brokers", "login"]
    assert "connection refused" in lines[0]["error"]
    assert [line["log_level"] for line in lines] == ["warning", "error"]


def test_brokers_that_no_error_speaks_of_are_missed_after_three_seconds(outage: KafkaOutage, lines: list[Any]) -> None:
    tick(outage, "CONNECT", "query-coord")
    tick(outage, "CONNECT", "query-coord")
    assert told(lines) == []
    tick(outage, "CONNECT", "query-coord")
    assert told(lines) == ["brokers"]


def test_brokers_that_answer_before_the_group_can_go_on_are_not_yet_back(outage: KafkaOutage, lines: list[Any]) -> None:
    outage.happened(KafkaError(KafkaError._ALL_BROKERS_DOWN))
    tick(outage, "UP", "query-coord")
    assert told(lines) == ["brokers"]


def test_a_coordinator_is_missed_after_ten_seconds(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(9):
        tick(outage, "UP", "wait-coord")
    assert told(lines) == []
    tick(outage, "UP", "wait-coord")
    assert told(lines) == ["coordinator"]
    tick(outage)
    assert told(lines) == ["coordinator", "over"]


def test_a_partition_that_may_not_be_read_is_back_with_its_next_record_or_end(
    outage: KafkaOutage, lines: list[Any]
) -> None:
    refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, HERE)
    outage.delivered(THERE)
    tick(outage)
    assert outage.partitions == [HERE]
    assert told(lines) == ["right"]
    outage.delivered(HERE)
    assert told(lines) == ["right", "over"]


def test_several_partitions_are_one_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    for partition in (HERE, THERE):
        refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, partition)
    outage.delivered(HERE)
    outage.delivered(THERE)
    assert told(lines) == ["right", "over"]


def test_a_partition_that_went_to_another_member_is_no_concern_any_more(outage: KafkaOutage, lines: list[Any]) -> None:
    refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, HERE)
    outage.unassigned([HERE])
    assert told(lines) == ["right", "over"]


def test_a_partition_is_no_concern_that_another_member_has(outage: KafkaOutage, lines: list[Any]) -> None:
    """An error that was queued before the partition was revoked comes after it."""
    outage.unassigned([HERE])
    refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, HERE)
    assert told(lines) == []


def test_a_partition_that_comes_back_to_this_member_is_not_away_from_the_time_before(
    outage: KafkaOutage, lines: list[Any]
) -> None:
    refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, HERE)
    outage.unassigned([HERE])
    outage.assigned([HERE])
    assert told(lines) == ["right", "over"]


@pytest.mark.parametrize("code", [KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError.TOPIC_AUTHORIZATION_FAILED])
def test_a_member_without_partitions_hears_that_a_topic_is_back(
    outage: KafkaOutage, lines: list[Any], code: int
) -> None:
    refused(outage, code, TopicPartition("topic", -1))
    outage.unassigned([HERE, THERE])
    tick(outage)
    outage.assigned([])
    assert outage.topics == ["topic"]
    outage.described("topic")
    assert outage.topics == []
    assert told(lines)[-1] == "over"


def test_a_topic_with_the_name_of_another_place_is_a_topic(outage: KafkaOutage, lines: list[Any]) -> None:
    refused(outage, KafkaError.UNKNOWN_TOPIC_OR_PART, TopicPartition("answers", -1))
    outage.answered()
    assert told(lines) == ["topic"]


def test_answers_are_back_with_the_next_success(outage: KafkaOutage, lines: list[Any]) -> None:
    outage.unanswered(TryAgainError("no answer", away="kafka", reason="brokers"))
    outage.unassigned([HERE, THERE])
    outage.answered()
    assert told(lines) == ["brokers", "over"]


def test_a_partition_without_a_leader_is_missed_after_ten_seconds(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(9):
        tick(outage, leaders={0: -1, 1: 3})
    assert told(lines) == []
    tick(outage, leaders={0: -1, 1: 3})
    assert told(lines) == ["leader"]
    tick(outage, leaders={0: 2, 1: 3})
    assert told(lines) == ["leader", "over"]


def test_a_partition_without_a_leader_that_is_revoked_is_no_concern(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(10):
        tick(outage, leaders={0: -1})
    outage.unassigned([HERE])
    assert told(lines) == ["leader", "over"]
    outage.assigned([HERE])
    tick(outage, leaders={0: -1})
    assert told(lines) == ["leader", "over"]


def test_leaders_that_nobody_can_name_are_the_brokers_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(20):
        tick(outage, "CONNECT", "query-coord", leaders={0: -1})
    assert told(lines) == ["brokers"]


def test_a_group_that_is_not_put_together_for_a_minute_is_an_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    for _ in range(59):
        tick(outage, join="wait-join")
    assert told(lines) == []
    tick(outage, join="wait-join")
    assert told(lines) == ["group"]
    tick(outage)
    assert told(lines) == ["group", "over"]


def test_a_member_is_steady_until_it_loses_partitions_or_the_group_is_put_together_again(outage: KafkaOutage) -> None:
    tick(outage)
    assert outage.steady
    outage.unassigned([HERE])
    assert not outage.steady
    tick(outage)
    tick(outage, join="wait-join")
    assert not outage.steady


PLACES = [HERE, THERE, TopicPartition("topic", -1), TopicPartition("other", -1), None]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("refused"), st.sampled_from(PLACES)),
            st.tuples(st.just("unassigned"), st.sampled_from([[HERE], [THERE], [HERE, THERE]])),
            st.tuples(st.just("assigned"), st.sampled_from([[], [HERE], [THERE], [HERE, THERE]])),
            st.tuples(st.just("down"), st.none()),
            st.tuples(st.just("leaderless"), st.none()),
            st.tuples(st.just("unanswered"), st.none()),
        ),
        max_size=12,
    )
)
def test_nothing_sticks_once_all_is_well_whatever_happened_before(happened: list[tuple[str, Any]]) -> None:
    """A member that ends without partitions hears no record: statistics, answers and descriptions are enough."""
    outage = KafkaOutage()
    for what, where in happened:
        match what:
            case "refused":
                refused(outage, KafkaError.TOPIC_AUTHORIZATION_FAILED, where)
            case "unassigned":
                outage.unassigned(where)
            case "assigned":
                outage.assigned(where)
            case "down":
                outage.happened(KafkaError(KafkaError._ALL_BROKERS_DOWN))
            case "leaderless":
                for _ in range(10):
                    tick(outage, leaders={0: -1, 1: -1})
            case _:
                outage.unanswered(TryAgainError("no answer", away="kafka", reason="brokers"))
    outage.unassigned([HERE, THERE])
    for topic in outage.topics:
        outage.described(topic)
    outage.answered()
    tick(outage)
    assert outage._away == set()
    outage.close()


def test_a_leader_that_moves_is_no_outage(outage: KafkaOutage, lines: list[Any]) -> None:
    refused(outage, KafkaError.NOT_LEADER_FOR_PARTITION, HERE)
    assert told(lines) == []


def test_a_group_that_refuses_the_member_is_back_once_it_is_steady(outage: KafkaOutage, lines: list[Any]) -> None:
    refused(outage, KafkaError.GROUP_AUTHORIZATION_FAILED, None)
    tick(outage, join="wait-join")
    assert told(lines) == ["right"]
    tick(outage)
    assert told(lines) == ["right", "over"]


def test_a_topic_that_is_gone_is_back_once_it_is_assigned_again(outage: KafkaOutage, lines: list[Any]) -> None:
    refused(outage, KafkaError.UNKNOWN_TOPIC_OR_PART, TopicPartition("topic", -1))
    tick(outage)
    assert told(lines) == ["topic"]
    outage.assigned([HERE])
    assert told(lines) == ["topic", "over"]
