"""One Kafka and one PostgreSQL that speak TLS, for all tests of this folder."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
import pytest
from confluent_kafka.admin import ScramCredentialInfo, ScramMechanism, UserScramCredentialUpsertion

from inbox.dev.local.kafka import Listener, LocalKafka
from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import machine_binaries, pypi_binaries
from inbox.dev.ports import LOOPBACK, free_port
from tests.support.certificates import Authority
from tests.support.ground import prepare_template
from tests.support.kafka_topics import admin, create_topic
from tests.support.planted import plant
from tests.support.tokens import TokenIssuer
from tests.support.waiting import eventually

USER, PASSWORD = "sink", plant("open/sesame?42")
_MODULES = "org.apache.kafka.common.security"
LOGIN = {
    "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256",
    "plain.sasl.jaas.config": f'{_MODULES}.plain.PlainLoginModule required user_{USER}="{PASSWORD}";',
    "scram-sha-256.sasl.jaas.config": f"{_MODULES}.scram.ScramLoginModule required;",
}


@dataclass(frozen=True)
class Files:
    """Where the certificates of a client are, and those of an authority that nobody here is of."""

    authority: Path
    stranger: Path
    chain: Path
    key: Path


@pytest.fixture(scope="package")
def authority() -> Authority:
    return Authority()


@pytest.fixture(scope="package")
def files(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Files:
    directory = tmp_path_factory.mktemp("certificates")
    ours, theirs = directory / "ca.pem", directory / "stranger.pem"
    ours.write_bytes(authority.certificate)
    theirs.write_bytes(Authority().certificate)
    return Files(ours, theirs, *authority.for_client(USER).write(directory, "client"))


@dataclass(frozen=True)
class SecureKafka:
    """A broker with a way in for each way to prove who one is; `topic` has ten orders, one partition."""

    kafka: LocalKafka
    ports: dict[str, int]
    topic: str

    def at(self, listener: str) -> str:
        return f"{LOOPBACK}:{self.ports[listener]}"

    def set_password(self, password: str) -> None:
        """The one that SCRAM takes from now on."""
        set_password(self.kafka, password)


def set_password(broker: LocalKafka, password: str) -> None:
    scram = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)
    client = admin(broker.address)  # a future without a living client fails
    user = UserScramCredentialUpsertion(USER, scram, password.encode())
    client.alter_user_scram_credentials([user])[USER].result(120)


@pytest.fixture(scope="package")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> TokenIssuer:
    return TokenIssuer(tmp_path_factory.mktemp("issuer") / "keys.json")


@pytest.fixture(scope="package")
def kafka(authority: Authority, issuer: TokenIssuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    directory = tmp_path_factory.mktemp("broker")
    trust = directory / "ca.pem"
    trust.write_bytes(authority.certificate)

    def listener(
        name: str, protocol: str, *hosts: str, expired: bool = False, settings: Mapping[str, str] = {}
    ) -> Listener:
        store = directory / f"{name}.pem"
        store.write_bytes(authority.for_server(*hosts or (LOOPBACK,), expired=expired).both)
        stores = {"keystore.type": "PEM", "keystore.location": str(store)}
        stores |= {"truststore.type": "PEM", "truststore.location": str(trust)}
        own = {f"ssl.{key}": value for key, value in stores.items()} | dict(settings)
        return Listener(name, free_port(), protocol, settings=own)

    further = [
        listener("TLS", "SSL"),
        listener("MUTUAL", "SSL", settings={"ssl.client.auth": "required"}),
        listener("EXPIRED", "SSL", expired=True),
        listener("ELSEWHERE", "SSL", "kafka.example.org"),
        listener("SASL", "SASL_SSL", settings=LOGIN),
        listener("TOKEN", "SASL_SSL", settings=issuer.broker_settings),
    ]
    broker = LocalKafka(further=further, jvm_options=issuer.jvm_options)
    try:
        broker.start()
        set_password(broker, PASSWORD)
        ports = {each.name: each.port for each in further} | {"PLAINTEXT": broker.port}
        yield SecureKafka(broker, ports, create_topic(broker.address))
    finally:
        broker.close()


@dataclass(frozen=True)
class SecurePostgres:
    """A server that takes nobody but over TLS; `database_url` is the superuser's."""

    server: LocalPostgres
    files: Files

    @property
    def database_url(self) -> str:
        return (
            f"{self.server.address}?{urlencode({'sslmode': 'verify-full', 'sslrootcert': str(self.files.authority)})}"
        )

    def url(self, user: str, password: str | None = None, *, host: str = LOOPBACK, **parameters: str) -> str:
        """The way of that user; parameters of libpq over verify-full with the right authority."""
        login = quote(user, safe="") + (f":{quote(password, safe='')}" if password else "")
        given = {"sslmode": "verify-full", "sslrootcert": str(self.files.authority), **parameters}
        return f"postgresql://{login}@{host}:{self.server.port}/postgres?{urlencode(given)}"

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def count(self, rows: str) -> int:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            [(number,)] = connection.execute(f"SELECT count(*) FROM {rows}".encode()).fetchall()  # noqa: S608
        return int(number)

    def reconfigure(self, *statements: str, verify: bool = True) -> None:
        """Returns once new connections are met with the new settings; `verify=False` where they have to be past it."""
        url = self.database_url if verify else f"{self.server.address}?sslmode=require"
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in (*statements, "SELECT pg_reload_conf()"):
                connection.execute(statement.encode())
        eventually(lambda: self._is_trusted() is not verify, what="the server's other certificate")

    def _is_trusted(self) -> bool:
        try:
            psycopg.connect(self.database_url).close()
        except psycopg.OperationalError:
            return False
        return True


@pytest.fixture(scope="package")
def postgres(authority: Authority, files: Files) -> Iterator[SecurePostgres]:
    binaries = machine_binaries() or pypi_binaries()
    assert binaries is not None
    certificate, expired = authority.for_server(LOOPBACK), authority.for_server(LOOPBACK, expired=True)
    server = LocalPostgres(
        binaries,
        settings={"ssl": "on", "ssl_ca_file": "ca.pem", "ssl_cert_file": "server.crt", "ssl_key_file": "server.key"},
        access=[
            f"hostssl all {USER}_certified all cert map=certified",
            "hostssl all all all scram-sha-256",
            "host all all all reject",
        ],
        files={
            "ca.pem": authority.certificate,
            "server.crt": certificate.chain,
            "server.key": certificate.key,
            "expired.crt": expired.chain,
            "expired.key": expired.key,
            "pg_ident.conf": f"certified {USER} {USER}_certified\n".encode(),
        },
    )
    secure = SecurePostgres(server, files)
    try:
        server.start()
        prepare_template(secure.database_url)
        yield secure
    finally:
        server.close()
