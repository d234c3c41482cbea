"""What a Kafka error means, a case for each row of the table."""

import pytest
from confluent_kafka import KafkaError, KafkaException

from inbox.errors import HaltError, StartupError, TryAgainError, UnreadableError
from inbox.kafka.errors import translate, translate_at_startup

WAITS = {
    "_ALL_BROKERS_DOWN": "brokers",
    "_TRANSPORT": "brokers",
    "_RESOLVE": "brokers",
    "_TIMED_OUT": "brokers",
    "BROKER_NOT_AVAILABLE": "brokers",
    "REQUEST_TIMED_OUT": "brokers",
    "NETWORK_EXCEPTION": "brokers",
    "LEADER_NOT_AVAILABLE": "leader",
    "NOT_LEADER_FOR_PARTITION": "leader",
    "REPLICA_NOT_AVAILABLE": "leader",
    "FENCED_LEADER_EPOCH": "leader",
    "UNKNOWN_LEADER_EPOCH": "leader",
    "OFFSET_NOT_AVAILABLE": "leader",
    "KAFKA_STORAGE_ERROR": "leader",
    "COORDINATOR_NOT_AVAILABLE": "coordinator",
    "COORDINATOR_LOAD_IN_PROGRESS": "coordinator",
    "NOT_COORDINATOR": "coordinator",
    "_WAIT_COORD": "coordinator",
    "REBALANCE_IN_PROGRESS": "group",
    "ILLEGAL_GENERATION": "group",
    "UNKNOWN_MEMBER_ID": "group",
    "_ASSIGNMENT_LOST": "group",
}

ALERTS = {
    "_MAX_POLL_EXCEEDED": "group",
    "INCONSISTENT_GROUP_PROTOCOL": "group",
    "INVALID_SESSION_TIMEOUT": "group",
    "GROUP_MAX_SIZE_REACHED": "group",
    "_AUTHENTICATION": "login",
    "SASL_AUTHENTICATION_FAILED": "login",
    "UNSUPPORTED_SASL_MECHANISM": "login",
    "_SSL": "login",
    "TOPIC_AUTHORIZATION_FAILED": "right",
    "GROUP_AUTHORIZATION_FAILED": "right",
    "CLUSTER_AUTHORIZATION_FAILED": "right",
    "UNKNOWN_TOPIC_OR_PART": "topic",
    "_UNKNOWN_TOPIC": "topic",
    "_UNKNOWN_PARTITION": "topic",
    "UNKNOWN": "unknown",
    "_INVALID_ARG": "unknown",
    "MSG_SIZE_TOO_LARGE": "size",
    "_CRIT_SYS_RESOURCE": "memory",
}

UNREADABLE = (
    "_BAD_MSG",
    "_BAD_COMPRESSION",
    "_NOT_IMPLEMENTED",
    "_UNDERFLOW",
    "_PARTIAL",
    "INVALID_MSG",
    "INVALID_MSG_SIZE",
    "INVALID_RECORD",
    "UNSUPPORTED_COMPRESSION_TYPE",
)

HALTS = ("OFFSET_OUT_OF_RANGE", "_AUTO_OFFSET_RESET", "_LOG_TRUNCATION", "FENCED_INSTANCE_ID")


def of(name: str) -> KafkaError:
    return KafkaError(getattr(KafkaError, name), "what librdkafka said")


@pytest.mark.parametrize("name", WAITS)
def test_what_passes_by_itself_is_waited_for_without_a_call(name: str) -> None:
    failure = translate(of(name), "reading")
    assert isinstance(failure, TryAgainError)
    assert (failure.away, failure.reason, failure.alert) == ("kafka", WAITS[name], False)
    assert str(failure) == f"reading: what librdkafka said ({name})"


@pytest.mark.parametrize("name", ALERTS)
def test_what_needs_a_person_is_waited_for_and_says_what_to_do(name: str) -> None:
    failure = translate(of(name), "reading")
    assert isinstance(failure, TryAgainError)
    assert (failure.away, failure.reason, failure.alert) == ("kafka", ALERTS[name], True)
    assert str(failure).startswith(f"reading: what librdkafka said ({name}); ")


@pytest.mark.parametrize("name", HALTS)
def test_what_could_lose_or_repeat_an_event_halts_and_says_what_to_do(name: str) -> None:
    failure = translate(of(name), "reading")
    assert isinstance(failure, HaltError)
    assert f"({name}); " in str(failure)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_cannot_be_read_halts_and_says_what_librdkafka_saw(name: str) -> None:
    failure = translate(of(name), "reading orders[0]")
    assert isinstance(failure, UnreadableError)
    assert str(failure).startswith(f"reading orders[0]: the log cannot be read there ({name}: what librdkafka said); ")
    assert "inbox resume" in str(failure)


@pytest.mark.parametrize("name", UNREADABLE)
def test_a_question_that_reads_no_log_is_waited_for_whatever_the_answer(name: str) -> None:
    failure = translate_at_startup(KafkaException(of(name)), "asking")
    assert isinstance(failure, TryAgainError)
    assert (failure.reason, failure.alert) == ("unknown", True)


def test_a_fatal_error_halts_with_what_librdkafka_said() -> None:
    failure = translate(KafkaError(KafkaError._FATAL, "Fatal error: something"), "reading")
    assert isinstance(failure, HaltError)
    assert "Fatal error: something" in str(failure)


@pytest.mark.parametrize("code", ["_FATAL", "FENCED_INSTANCE_ID"])
def test_a_fenced_static_member_halts_and_says_to_name_each_worker_apart(code: str) -> None:
    told = "Fatal error: Broker: Static consumer fenced by other consumer with same group.instance.id"
    failure = translate(KafkaError(getattr(KafkaError, code), told), "reading")
    assert isinstance(failure, HaltError)
    assert str(failure).endswith("give each worker a group.instance.id of its own")


@pytest.mark.parametrize("name", [name for name, reason in ALERTS.items() if reason in ("login", "right")])
def test_a_refusal_at_the_start_ends_the_start(name: str) -> None:
    assert isinstance(translate_at_startup(KafkaException(of(name)), "asking"), StartupError)


@pytest.mark.parametrize("name", ["_TRANSPORT", "COORDINATOR_NOT_AVAILABLE", "UNKNOWN"])
def test_what_may_pass_is_waited_for_at_the_start(name: str) -> None:
    assert isinstance(translate_at_startup(KafkaException(of(name)), "asking"), TryAgainError)
