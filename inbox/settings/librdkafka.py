"""The names of librdkafka: its properties, those that have two names, and those that hold secrets."""

import re
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

_SECRET_WORDS = ("password", "passphrase", "secret", "user.info", "token", "jaas")
_SECRET_NAMES = frozenset({"sasl.oauthbearer.config", "sasl.oauthbearer.extensions"})
_TOKEN_NAMES = frozenset({"sasl.oauthbearer.token.endpoint.url"})

NAMED_SECRET = re.compile(
    r"""([\w.-]*(?:password|passphrase|secret|user[._]info|token|jaas[._]config|[._]pem|oauthbearer[._]config
    |oauthbearer[._]extensions|scram_client_key|scram_server_key)(?:["']?\s*=\s*|["']\s*:\s*))
    ('(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[^\s&]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""A secret of librdkafka or libpq after its name: in a conninfo, a URL, a variable, a line of TOML or JSON."""

LOGIN_IN_URL = re.compile(r"(://[^\s:/@]*:)\S*(@)")
"""A password in a URL, up to the last `@` of the word, because an unescaped password may contain an `@`."""


def canonical(name: str) -> str:
    """Return the one name used here for a property that librdkafka knows by two."""
    return _ALIASES.get(name, name)


def is_secret(name: str) -> bool:
    """Return whether the value must never be shown.

    The words in the name decide, so that a misspelt name is covered too.
    """
    folded = name.casefold().replace("_", ".")
    if folded in _TOKEN_NAMES:
        return False
    return folded in _SECRET_NAMES or folded.endswith(".pem") or any(word in folded for word in _SECRET_WORDS)


def spelt_in_variables(name: str) -> str:
    """Return the property's spelling in a variable or a secret file, such as `bootstrap_servers`.

    The few names with `_` stay as they are.
    """
    return name.replace(".", "_")
