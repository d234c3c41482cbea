"""The properties of `[registry]`: those of confluent-kafka's SchemaRegistryClient that are plain values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

NUMBERS = frozenset({"timeout", "max.retries", "retries.wait.ms", "retries.max.wait.ms"})
"""The properties that the client takes as numbers."""

KNOWN = frozenset(
    {
        "url",
        "basic.auth.user.info",
        "bearer.auth.client.id",
        "bearer.auth.client.secret",
        "bearer.auth.credentials.source",
        "bearer.auth.identity.pool.id",
        "bearer.auth.issuer.endpoint.query",
        "bearer.auth.issuer.endpoint.url",
        "bearer.auth.logical.cluster",
        "bearer.auth.scope",
        "bearer.auth.token",
        "proxy",
        "ssl.ca.location",
        "ssl.certificate.location",
        "ssl.key.location",
        "ssl.key.password",
        *NUMBERS,
    }
)
"""The properties that `[registry]` takes. The client's caches are not among them: a route has its own."""

DEFAULTS: Mapping[str, float] = {"timeout": 5, "max.retries": 0}
"""The client waits without end otherwise, and repeats by itself; here the sink does, and stays in its group."""


@dataclass(frozen=True, kw_only=True)
class RegistryOptions:
    """The section `[registry]`. Values may hold secrets, so they are left out of the repr."""

    properties: Mapping[str, str] = field(repr=False)

    @property
    def url(self) -> str:
        """Return the address, which holds no login."""
        return self.properties["url"]

    def for_client(self) -> dict[str, str | float]:
        """Return the properties as the client takes them."""
        given = {name: float(value) if name in NUMBERS else value for name, value in self.properties.items()}
        return {**DEFAULTS, **given}
