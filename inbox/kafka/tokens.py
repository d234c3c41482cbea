"""Give librdkafka tokens for SASL/OAUTHBEARER, from a provider that an installed package offers."""

from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

from inbox.errors import StartupError
from inbox.kafka.options import KafkaOptions
from inbox.plugins.credentials import CredentialRequest, fetch

_SINCE = (2, 13)
"""The first confluent-kafka that asks for tokens on a thread of its own, without a call of `poll`."""

Token = tuple[str, float, str, dict[str, str]]


def token_properties(options: KafkaOptions) -> Mapping[str, Any]:
    """Return the properties of a client that takes its tokens from the provider of `options`; none without one.

    Raises:
        StartupError: the installed confluent-kafka is too old.
    """
    return {} if options.credential is None else token_source(options.credential, options.properties)


def token_source(provider: str, properties: Mapping[str, str]) -> Mapping[str, Any]:
    """Return the properties of a client that takes its tokens from this provider."""
    installed = version("confluent-kafka")
    if tuple(int(part) for part in installed.split(".")[:2]) < _SINCE:
        raise StartupError(
            f"[credentials] kafka needs confluent-kafka {_SINCE[0]}.{_SINCE[1]} or newer, and {installed} is "
            "installed; upgrade it"
        )
    return {"oauth_cb": _token_callback(provider, properties.get("bootstrap.servers", ""))}


def _token_callback(provider: str, servers: str) -> Callable[[str], Token]:
    def token(_: str) -> Token:
        found = fetch(provider, CredentialRequest(service="kafka", host=servers))
        if found.expires_at is None:
            raise StartupError(f'the provider of credentials "{provider}" gave a token without expires_at; set it')
        return found.secret, found.expires_at, found.principal, {}

    return token
