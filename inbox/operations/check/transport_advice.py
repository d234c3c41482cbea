"""The advice on connections to other machines that are in plain text, or that trust any server."""

from collections.abc import Iterator
from ipaddress import ip_address

from inbox.kafka.options import KafkaOptions
from inbox.store.postgres.server import Transport

_DATABASE = {
    "disable": "is not encrypted",
    "allow": "is encrypted only if the server insists",
    "prefer": "is not encrypted where the server, or somebody in between, offers no TLS",
    "require": "is encrypted, but goes to anybody who answers: the server's certificate is not checked",
    "verify-ca": "is encrypted, but the name in the server's certificate is not checked",
}
_OFF = ("false", "f", "0")


def advice_on_database(transport: Transport) -> list[str]:
    """Return a sentence if a connection to another machine is less than TLS with a checked certificate."""
    away = [host for host in transport.hosts if not _is_loopback(host)]
    if not away or transport.is_encrypted or transport.sslmode not in _DATABASE:
        return []
    return [
        f"the connection to {', '.join(away)} (sslmode {transport.sslmode}) {_DATABASE[transport.sslmode]}; set "
        "sslmode=verify-full and sslrootcert in [database] url"
    ]


def advice_on_brokers(kafka: KafkaOptions) -> list[str]:
    """Return a sentence for each way in which connections to brokers elsewhere can be read or diverted."""
    given = kafka.properties
    away = [host for host in map(_host, given.get("bootstrap.servers", "").split(",")) if host]
    away = [host for host in away if not _is_loopback(host)]
    if not away:
        return []
    protocol = given.get("security.protocol", "plaintext").strip().lower()
    return list(_of_protocol(protocol, ", ".join(away), kafka))


def _of_protocol(protocol: str, hosts: str, kafka: KafkaOptions) -> Iterator[str]:
    given = kafka.properties
    if protocol == "sasl_plaintext":
        yield (
            f"the login and every event travel to {hosts} in plain text (security.protocol {protocol}); "
            'set "security.protocol" = "SASL_SSL"'
        )
    elif protocol == "plaintext":
        yield (
            f"every event travels to {hosts} in plain text, and nobody proves who they are (security.protocol "
            f'{protocol}); set "security.protocol" = "SSL" or "SASL_SSL"'
        )
    elif given.get("enable.ssl.certificate.verification", "true").strip().lower() in _OFF:
        yield (
            f"anybody may answer for {hosts}: enable.ssl.certificate.verification is false; leave it out, and name the "
            "authority of the brokers' certificates in ssl.ca.location"
        )
    elif given.get("ssl.endpoint.identification.algorithm", "https").strip().lower() == "none":
        yield (
            f"anybody with a certificate of the same authority may answer for {hosts}: "
            "ssl.endpoint.identification.algorithm is none; leave it out"
        )


def _host(server: str) -> str:
    """Return the host of an entry of `bootstrap.servers`.

    Its forms are `host`, `host:port` and `[::1]:port`, each perhaps after `PROTOCOL://`.
    """
    address = server.strip().rpartition("://")[2]
    if address.startswith("["):
        return address[1:].partition("]")[0]
    host, colon, _ = address.rpartition(":")
    return host if colon else address


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"
