"""Passwords and tokens that expire, from a provider in an installed package."""

import json
import math
import os
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path

import psycopg
import pytest

from tests.e2e.launcher import environment
from tests.integration.security.conftest import Files, SecureKafka, SecurePostgres
from tests.support.certificates import Authority
from tests.support.databases import create_database
from tests.support.ground import prepare_template
from tests.support.kafka_topics import create_topic, produce, unique_name
from tests.support.planted import plant
from tests.support.sinks import offer_entry_points, write_configuration
from tests.support.tokens import TokenEndpoint, TokenIssuer
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

TOKEN_SECONDS = int(os.environ.get("TOKEN_SECONDS", "6"))
RUN_SECONDS = float(os.environ.get("TOKEN_MINUTES", "0")) * 60 or 2.5 * TOKEN_SECONDS
"""How long a sink runs on tokens: longer than one lives, after which the broker closes the connection."""
PROVIDED = '[credentials]\ndatabase = "{database}"\nkafka = "{kafka}"'
PROVIDERS = """
import json, os, time
from pathlib import Path
from inbox import Credential
from tests.support.tokens import signed

HERE = Path(__file__).parent

def note(name, request):
    with (HERE / name).open("a") as file:
        file.write(json.dumps([request.service, request.host, request.port, request.user]) + "\\n")

def password(request):
    note("passwords", request)
    return Credential((HERE / "password").read_text())

def token(request):
    note("tokens", request)
    text, expires_at = signed((HERE / "key.pem").read_text(), seconds=%d)
    return Credential(text, expires_at, "sink")

def unknown(request):
    raise RuntimeError("a secret in the words of a library")
"""
ROUTE = """
[[routes]]
topic = {topic}
event_id = "coordinates"
[routes.table]
name = {table}
mode = "append"
[routes.table.columns]
order_id = "/order_id"
"""


class Sink:
    """A sink in a process of its own, whose credentials come from providers beside its configuration."""

    def __init__(self, directory: Path, kafka: SecureKafka, postgres: SecurePostgres, files: Files) -> None:
        self.directory, self._kafka, self._postgres, self._files = directory, kafka, postgres, files
        self.topic = create_topic(kafka.kafka.address)
        self.user, self.table = unique_name("role"), f"public.{unique_name('orders')}"
        offer_entry_points(
            directory,
            "inbox.credentials",
            {"iam": "given:password", "idp": "given:token", "broken": "given:unknown"},
        )
        (directory / "given.py").write_text(PROVIDERS % TOKEN_SECONDS)
        self.database = unique_name("credentials")
        prepare_template(create_database(postgres.database_url, self.database))
        self.sql(
            f"CREATE ROLE {self.user} LOGIN PASSWORD 'of nobody'",
            f"CREATE TABLE {self.table} (order_id bigint)",
            f"GRANT ALL ON {self.table} TO {self.user}",
            f"GRANT ALL ON ALL TABLES IN SCHEMA inbox TO {self.user}",
            f"GRANT USAGE ON SCHEMA inbox TO {self.user}",
            f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA inbox TO {self.user}",
        )

    def _in_database(self, url: str) -> str:
        return url.replace("/postgres?", f"/{self.database}?")

    def sql(self, *statements: str) -> None:
        with psycopg.connect(self._in_database(self._postgres.database_url), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def set_password(self, password: str) -> None:
        self.sql(f"ALTER ROLE {self.user} PASSWORD '{password}'")
        (self.directory / "password").write_text(password)

    def produce(self, *numbers: int) -> None:
        values = [json.dumps({"order_id": number}).encode() for number in numbers]
        produce(self._kafka.kafka.address, self.topic, values)

    def count(self) -> int:
        with psycopg.connect(self._in_database(self._postgres.database_url)) as connection:
            [(number,)] = connection.execute(f"SELECT count(*) FROM {self.table}".encode()).fetchall()  # noqa: S608
        return int(number)

    def has(self, orders: int) -> bool:
        return self.count() >= orders

    def orders(self) -> list[int]:
        with psycopg.connect(self._in_database(self._postgres.database_url)) as connection:
            rows = connection.execute(f"SELECT order_id FROM {self.table} ORDER BY 1".encode())  # noqa: S608
            return [number for (number,) in rows]

    def asked(self, name: str) -> list[list[str]]:
        file = self.directory / name
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def start(
        self, database: str = "iam", kafka: str = "idp", *, kafka_lines: str | None = None, **variables: str
    ) -> "subprocess.Popen[str]":
        config = write_configuration(
            self.directory / "inbox.toml",
            database_url=self._in_database(self._postgres.url(self.user)),
            bootstrap_servers=self._kafka.at("TOKEN"),
            routes=ROUTE.format(topic=json.dumps(self.topic), table=json.dumps(self.table)),
            name=self.topic,
            database='start_timeout = "2s"',
            kafka=f"""
"security.protocol" = "SASL_SSL"
"sasl.mechanisms" = "OAUTHBEARER"
"ssl.ca.location" = {json.dumps(str(self._files.authority))}
{PROVIDED.format(database=database, kafka=kafka) if kafka_lines is None else kafka_lines}
""",
        )
        path = environment().get("PYTHONPATH", "")
        root = str(Path(__file__).parents[3])
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "inbox", "run", "--config", str(config)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**environment(), "PYTHONPATH": ":".join([str(self.directory), root, path]), **variables},
        )


@pytest.fixture
def sink(tmp_path: Path, kafka: SecureKafka, postgres: SecurePostgres, files: Files, issuer: TokenIssuer) -> Sink:
    (tmp_path / "key.pem").write_text(issuer.private_key)
    made = Sink(tmp_path, kafka, postgres, files)
    made.set_password(plant("first-of-many"))
    return made


CLIENT_SECRET = "oidc-client's own"
Ended = Callable[["subprocess.Popen[str]"], str]


@pytest.fixture
def ended() -> Ended:
    def end(process: "subprocess.Popen[str]") -> str:
        if process.poll() is None:
            process.terminate()
        out, err = process.communicate(timeout=120)
        return out + err

    return end


@pytest.fixture
def endpoint(issuer: TokenIssuer, authority: Authority, tmp_path: Path) -> Iterator[TokenEndpoint]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.for_server("127.0.0.1").write(tmp_path, "endpoint"))
    made = TokenEndpoint(issuer.private_key, context, plant(CLIENT_SECRET), TOKEN_SECONDS)
    with made.serving():
        yield made


def by_openid_connect(sink: Sink, endpoint: TokenEndpoint, files: Files, secret: str) -> "subprocess.Popen[str]":
    lines = f"""
"sasl.oauthbearer.method" = "oidc"
"sasl.oauthbearer.client.id" = "sink"
"sasl.oauthbearer.token.endpoint.url" = "{endpoint.url}"
"https.ca.location" = {json.dumps(str(files.authority))}
[credentials]
database = "iam"
"""
    return sink.start(kafka_lines=lines, INBOX_KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET=secret)


def apply_while_tokens_expire(sink: Sink, process: "subprocess.Popen[str]", ended: Ended) -> str:
    """Produce orders for `RUN_SECONDS`, and return what the sink printed once each was applied exactly once."""
    sent, until = 0, math.inf
    try:
        while time.monotonic() < until:
            sent += 1
            sink.produce(sent)
            eventually(partial(sink.has, sent), what=f"order {sent}")
            assert process.poll() is None
            until = min(until, time.monotonic() + RUN_SECONDS)  # since the first order
            time.sleep(TOKEN_SECONDS / 30)
        assert sink.orders() == list(range(1, sent + 1))
    finally:
        said = ended(process)
    assert process.returncode == 0, said
    outages = said.count('"event": "outage"')
    print(f"{sent} orders in {RUN_SECONDS:.0f} s, {outages} outages")
    # A broker may refuse a connection that authenticates again; the sink opens another one within a second.
    assert outages - said.count('"event": "outage-over"') in (0, 1)
    assert "eyJ" not in said
    return said


def test_tokens_of_a_provider_are_renewed_before_they_expire(sink: Sink, ended: Ended) -> None:
    apply_while_tokens_expire(sink, sink.start(), ended)
    assert len(sink.asked("tokens")) >= RUN_SECONDS // TOKEN_SECONDS


def test_tokens_of_openid_connect_are_renewed_before_they_expire(
    sink: Sink, endpoint: TokenEndpoint, files: Files, ended: Ended
) -> None:
    said = apply_while_tokens_expire(sink, by_openid_connect(sink, endpoint, files, plant(CLIENT_SECRET)), ended)
    assert endpoint.issued >= RUN_SECONDS // TOKEN_SECONDS
    assert endpoint.refused == 0
    assert "oidc-client" not in said


def test_each_connection_to_the_database_has_a_password_of_its_own(
    sink: Sink, postgres: SecurePostgres, ended: Ended
) -> None:
    process = sink.start()
    try:
        sink.produce(1)
        eventually(lambda: sink.count() == 1, what="the first order")
        asked = len(sink.asked("passwords"))
        sink.set_password(plant("second-of-many"))
        sessions = f"FROM pg_stat_activity WHERE usename = '{sink.user}'"
        sink.sql(f"SELECT pg_terminate_backend(pid) {sessions}")
        sink.produce(2)
        eventually(lambda: sink.count() == 2, what="the second order")
    finally:
        said = ended(process)
    assert process.returncode == 0, said
    assert len(sink.asked("passwords")) > asked
    service, host, port, user = sink.asked("passwords")[0]
    assert (service, host, user) == ("database", "127.0.0.1", sink.user)
    assert port == str(postgres.server.port)
    assert "of-many" not in said


WRONG: Mapping[str, tuple[tuple[str, str], int, str]] = {
    "a provider that fails is an outage that names its class alone": (
        ("broken", "idp"),
        1,
        'the provider of credentials "broken" failed: RuntimeError',
    ),
    "a provider that nobody offers": (
        ("ima", "idp"),
        3,
        'no installed package offers a provider of credentials "ima" in the entry-point group inbox.credentials '
        '(did you mean "iam"?); install the package, or correct the name in [credentials]',
    ),
}


@pytest.mark.parametrize(("names", "code", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_provider_ends_the_start_with_one_line(
    sink: Sink, ended: Ended, names: tuple[str, str], code: int, text: str
) -> None:
    process = sink.start(*names)
    eventually(lambda: process.poll() is not None, what="the end")
    said = ended(process)
    assert process.returncode == code, said
    assert text in said
    assert "a secret" not in said
    assert "Traceback" not in said
