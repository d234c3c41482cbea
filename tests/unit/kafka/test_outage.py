"""When an outage of Kafka begins and ends, from what librdkafka tells."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from confluent_kafka import KafkaError
from structlog.testing import capture_logs

from inbox.errors import TryAgainError
from inbox.events import TopicPartition
from inbox.kafka.failures import translated
from inbox.kafka.outage import KafkaOutage

HERE, THERE = TopicPartition("topic", 0), TopicPartition("topic", 1)


@pytest.fixture
def lines() -> Iterator[list[Any]]:
    with capture_logs() as lines:
        yield lines  # type: ignore[misc]


@pytest.fixture
def outage(lines: list[Any]) -> Iterator[KafkaOutage]:
    outage = KafkaOutage()
    yield outage
    outage.close()


def told(lines: list[Any]) -> list[str]:
    return [line.get("reason", "over") if line["event"] == "waiting" else "over" for line in lines]


def tick(outage: KafkaOutage, broker: str = "UP", group: str = "up", join: str = "steady") -> None:
    brokers = {"b": {"state": broker, "source": "learned"}, ":0/internal": {"state": "UP", "source": "internal"}}
    outage.statistics(json.dumps({"brokers": brokers, "cgrp": {"state": group, "join_state": join}}))


def refused(outage: KafkaOutage, code: int, where: TopicPartition | None) -> None:
    failure = translated(KafkaError(code), "reading")
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
