"""Passwords and tokens that live for minutes only, from a provider that an installed package offers.

A provider is a function in the entry-point group `inbox.credentials`. It is called for each
connection to the database, and whenever librdkafka needs a token, so nothing here is kept.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

from inbox.errors import StartupError, TryAgainError
from inbox.plugins.entry_points import load_entry_point, named

ENTRY_POINT_GROUP = "inbox.credentials"


@dataclass(frozen=True, kw_only=True)
class CredentialRequest:
    """The purpose of a credential.

    Attributes:
        service: `database` or `kafka`.
        host: the server, or the brokers as in `bootstrap.servers`; as in the configuration.
        port: the server's port as text; "" for Kafka, or where the URL has none.
        user: the login of the URL; "" for Kafka, or where the URL has none.
    """

    service: str
    host: str
    port: str = ""
    user: str = ""


@dataclass(frozen=True)
class Credential:
    """A password or a token.

    Attributes:
        secret: the password, or the token.
        expires_at: when it stops being valid, in seconds of Unix time. A token for Kafka needs it;
            librdkafka asks for the next one at four fifths of the time.
        principal: the name that goes with a token, for Kafka only.
    """

    secret: str = field(repr=False)
    expires_at: float | None = None
    principal: str = ""


Provider = Callable[[CredentialRequest], Credential]


def load_provider(name: str) -> Provider:
    """Return the provider that an installed package offers under `name`.

    Raises:
        StartupError: no installed package or more than one offers it, or it cannot be imported or called.
    """
    entry_point = named(ENTRY_POINT_GROUP, name, "provider of credentials", "the name in [credentials]")
    provider = load_entry_point(entry_point, "provider of credentials")
    if not callable(provider):
        raise StartupError(f'provider of credentials "{name}" ({entry_point.value}) is not callable; fix its package')
    return cast(Provider, provider)


def fetch(name: str, request: CredentialRequest) -> Credential:
    """Return a credential that is valid now.

    Raises:
        StartupError: the provider cannot be loaded, or returned something else than a Credential.
        TryAgainError: the provider failed, or its credential has expired. Its own words may hold a secret, so only
            the class of its exception is said.
    """
    provider = load_provider(name)
    try:
        found = provider(request)
    except Exception as error:  # noqa: BLE001 - whatever the provider's libraries raise
        raise _away(request, f'the provider of credentials "{name}" failed: {type(error).__name__}') from None
    if not isinstance(found, Credential) or not isinstance(found.secret, str):
        kind = type(found).__name__
        raise StartupError(
            f'the provider of credentials "{name}" returned a value of type {kind}; let it return an inbox.Credential'
        )
    if found.expires_at is not None and found.expires_at <= time.time():
        raise _away(request, f'the provider of credentials "{name}" returned one that has expired')
    return found


def _away(request: CredentialRequest, text: str) -> TryAgainError:
    return TryAgainError(text, away=request.service, reason="credentials", alert=True)
