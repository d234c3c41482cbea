"""Create librdkafka's clients, report properties that they refuse, and limit how long a call to them may take."""

import threading
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaError, KafkaException, libversion

from inbox.errors import StartupError

Client = TypeVar("Client")


def librdkafka_version() -> str:
    """Return the version of librdkafka that this process uses, as `2.12.1`."""
    return libversion()[0]


def made(make: Callable[[], Client]) -> Client:
    """Return the client that `make` creates.

    Raises:
        StartupError: librdkafka refuses a property; the error names the property.
    """
    try:
        return make()
    except KafkaException as error:
        raise StartupError(f"[kafka] {error.args[0].str()}; correct it") from error
    except (TypeError, ValueError) as error:
        raise StartupError(f"[kafka] {error}; correct it") from error


def error_of(action: Callable[[], object]) -> KafkaError | None:
    """Return Kafka's error with which the action ends, or None.

    confluent-kafka raises a fatal error in the middle of its callbacks. If a delivery report follows, Python
    makes a SystemError of the two, whose cause is the fatal error.
    """
    try:
        action()
    except (KafkaException, SystemError) as raised:
        error = raised if isinstance(raised, KafkaException) else raised.__cause__
        if not isinstance(error, KafkaException):
            raise
        found: KafkaError = error.args[0]
        return found
    return None


def ended_within(seconds: float, action: Callable[[], object]) -> bool:
    """Return whether `action` finished within `seconds`; raise the exception that it raised.

    If the time is over, `action` continues on a daemon thread, which does not keep the process alive.
    """
    raised: list[BaseException] = []

    def run() -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - raised again where somebody waits for it
            raised.append(error)

    thread = threading.Thread(target=run, name="inbox-kafka-end", daemon=True)
    thread.start()
    thread.join(seconds)
    if raised:
        raise raised[0]
    return not thread.is_alive()
