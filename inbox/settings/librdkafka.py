"""The names of librdkafka: its properties, and those that have two names."""

from collections.abc import Mapping
from importlib import resources

KNOWN: frozenset[str] = frozenset(
    resources.files("inbox.settings").joinpath("names/librdkafka_properties.txt").read_text("utf-8").split()
)
"""The properties in `CONFIGURATION.md` of librdkafka 2.14, without callbacks and those that only a program can set."""

_ALIASES: Mapping[str, str] = {
    "metadata.broker.list": "bootstrap.servers",
    "auto.commit.enable": "enable.auto.commit",
    "max.in.flight": "max.in.flight.requests.per.connection",
    "sasl.mechanism": "sasl.mechanisms",
    "sasl.oauthbearer.client.credentials.client.id": "sasl.oauthbearer.client.id",
    "sasl.oauthbearer.client.credentials.client.secret": "sasl.oauthbearer.client.secret",
    "max.partition.fetch.bytes": "fetch.message.max.bytes",
    "linger.ms": "queue.buffering.max.ms",
    "retries": "message.send.max.retries",
    "compression.type": "compression.codec",
    "acks": "request.required.acks",
    "delivery.timeout.ms": "message.timeout.ms",
}


def canonical(name: str) -> str:
    """Return the one name used here for a property that librdkafka knows by two."""
    return _ALIASES.get(name, name)


def spelt_in_variables(name: str) -> str:
    """Return the property's spelling in a variable or a secret file, such as `bootstrap_servers`.

    The few names with `_` stay as they are.
    """
    return name.replace(".", "_")
