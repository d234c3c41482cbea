"""Makes librdkafka's clients, names the property that they do not take, and ends what they wait for too long."""

import threading
from collections.abc import Callable
from typing import TypeVar

from confluent_kafka import KafkaException

from inbox.errors import StartupError

Client = TypeVar("Client")


def made(make: Callable[[], Client]) -> Client:
    """Return what `make` makes.

    Raises:
        StartupError: librdkafka does not take the properties; it names the one.
    """
    try:
        return make()
    except KafkaException as error:
        raise StartupError(f"[kafka] {error.args[0].str()}; correct it") from error
    except (TypeError, ValueError) as error:
        raise StartupError(f"[kafka] {error}; correct it") from error


def ended_within(seconds: float, action: Callable[[], object]) -> bool:
    """Whether `action` came to its end in time; what it raised is raised.

    Otherwise it continues, on a thread that keeps no process alive.
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
