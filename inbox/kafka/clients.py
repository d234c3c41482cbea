"""Makes librdkafka's clients, and says of a configuration that they do not take which property it is."""

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
