"""What librdkafka raises instead of returning it: a fatal error ends the member, another one is an outage."""

from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from inbox.errors import HaltError
from tests.unit.kafka.test_take import taking_from


class Raising:
    """As librdkafka's consumer, which raises this from `poll` or `consume`."""

    def __init__(self, error: KafkaError, *, at: str) -> None:
        self._error = error
        self._at = at

    def poll(self, timeout: float) -> Any:
        return self._maybe("poll")

    def consume(self, limit: int, timeout: float) -> list[Any]:
        return self._maybe("consume") or []

    def _maybe(self, name: str) -> Any:
        if name == self._at:
            raise KafkaException(self._error)
        return None


@pytest.mark.parametrize(("at", "wait_seconds"), [("poll", 0.1), ("consume", 0.0)])
@pytest.mark.parametrize(
    "error",
    [
        KafkaError(KafkaError._FATAL, "Fatal error: something"),
        KafkaError(KafkaError.FENCED_INSTANCE_ID, "fenced"),
        KafkaError(KafkaError._INCONSISTENT, "inconsistent", 1),
    ],
    ids=["fatal", "fenced", "flagged"],
)
def test_a_fatal_error_halts_from_wherever_it_is_raised(error: KafkaError, at: str, wait_seconds: float) -> None:
    with pytest.raises(HaltError):
        taking_from(Raising(error, at=at)).poll(10, wait_seconds=wait_seconds)


def test_a_fatal_error_between_two_callbacks_halts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def poll(*_: object) -> None:
        fatal = KafkaException(KafkaError(KafkaError._FATAL, "Fatal error: something"))
        raise SystemError("a callback returned a result with an exception set") from fatal

    monkeypatch.setattr(Raising, "poll", poll)
    with pytest.raises(HaltError):
        taking_from(Raising(KafkaError(KafkaError._STATE), at="consume")).poll(10, wait_seconds=0.1)


@pytest.mark.parametrize(("at", "wait_seconds"), [("poll", 0.1), ("consume", 0.0)])
def test_another_error_that_is_raised_ends_nothing(at: str, wait_seconds: float) -> None:
    consumer = taking_from(Raising(KafkaError(KafkaError._STATE, "not now"), at=at))
    assert consumer.poll(10, wait_seconds=wait_seconds).records == []
