"""TLS and logins, right and wrong in every way that operators get them wrong, against servers that insist on them."""

import json
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from inbox.errors import TryAgainError
from inbox.kafka.cluster import Cluster
from inbox.kafka.options import KafkaOptions
from tests.e2e.launcher import environment
from tests.integration.security.conftest import PASSWORD, USER, Files, SecureKafka, SecurePostgres
from tests.support.kafka_topics import produce
from tests.support.planted import plant
from tests.support.sinks import write_configuration
from tests.support.waiting import eventually

pytestmark = pytest.mark.long

ROUTE = """
[[routes]]
topic = {topic}
event_id = "coordinates"
[routes.table]
name = "public.orders"
mode = "append"
[routes.table.columns]
order_id = "/order_id"
"""
WRONG_PASSWORD = plant("wr0ng-" + secrets.token_hex(8))
ORDERS = 10


@dataclass(frozen=True)
class Result:
    """What a command came to; `text` is all that it wrote anywhere."""

    code: int
    text: str


@dataclass
class Sink:
    """Runs a command with these ways in, and looks through all that it says for a password."""

    directory: Path
    topic: str
    secrets_told: tuple[str, ...] = (PASSWORD, "open%2Fsesame%3F42", WRONG_PASSWORD)

    def configure(self, url: str, kafka: Mapping[str, str]) -> Path:
        rest = "\n".join(f"{json.dumps(key)} = {json.dumps(text)}" for key, text in kafka.items() if "boot" not in key)
        return write_configuration(
            self.directory / "inbox.toml",
            database_url=url,
            bootstrap_servers=kafka["bootstrap.servers"],
            routes=ROUTE.format(topic=json.dumps(self.topic)),
            name=self.topic,
            database='start_timeout = "2s"',
            kafka=rest,
        )

    def run(self, command: str, url: str, kafka: Mapping[str, str], *flags: str) -> Result:
        config = self.configure(url, kafka)
        done = subprocess.run(
            [sys.executable, "-P", "-m", "inbox", command, *flags, "--config", str(config)],
            capture_output=True,
            text=True,
            timeout=180,
            env=environment(),
        )
        text = done.stdout + done.stderr
        for secret in self.secrets_told:
            assert secret not in text
        assert "Traceback" not in text
        assert "PRIVATE KEY" not in text
        return Result(done.returncode, text)


@pytest.fixture
def sink(tmp_path: Path, kafka: SecureKafka) -> Sink:
    return Sink(tmp_path, kafka.topic)


@pytest.fixture(scope="module", autouse=True)
def _accounts(postgres: SecurePostgres, kafka: SecureKafka) -> None:
    produce(kafka.at("PLAINTEXT"), kafka.topic, [json.dumps({"order_id": n}).encode() for n in range(ORDERS)])
    postgres.sql(
        f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'",
        f"CREATE ROLE {USER}_certified LOGIN",
        "CREATE TABLE public.orders (order_id bigint)",
        f"GRANT ALL ON ALL TABLES IN SCHEMA inbox, public TO {USER}, {USER}_certified",
        f"GRANT USAGE ON SCHEMA inbox TO {USER}, {USER}_certified",
        f"GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA inbox TO {USER}, {USER}_certified",
    )


Kafka = Callable[[SecureKafka, Files], Mapping[str, str]]
Url = Callable[[SecurePostgres, Files], str]


def tls(listener: str = "TLS", authority: str = "authority", **more: str) -> Kafka:
    return lambda kafka, files: {
        "bootstrap.servers": kafka.at(listener),
        "security.protocol": "SSL",
        "ssl.ca.location": str(getattr(files, authority)),
        **{name.replace("_", "."): value for name, value in more.items()},
    }


def mutual(kafka: SecureKafka, files: Files) -> Mapping[str, str]:
    certificate = {"ssl_certificate_location": str(files.chain), "ssl_key_location": str(files.key)}
    return tls("MUTUAL", **certificate)(kafka, files)


def sasl(mechanism: str, password: str = PASSWORD, listener: str = "SASL") -> Kafka:
    return tls(
        listener,
        security_protocol="SASL_SSL",
        sasl_mechanisms=mechanism,
        sasl_username=USER,
        sasl_password=password,
    )


def plain(listener: str) -> Kafka:
    return lambda kafka, _: {"bootstrap.servers": kafka.at(listener)}


def by_password(password: str = PASSWORD, **parameters: str) -> Url:
    return lambda postgres, _: postgres.url(USER, password, **parameters)


def by_certificate(postgres: SecurePostgres, files: Files) -> str:
    return postgres.url(f"{USER}_certified", sslcert=str(files.chain), sslkey=str(files.key))


@pytest.mark.parametrize(
    ("way", "url"),
    [
        pytest.param(tls(), by_password(), id="TLS; password over verify-full"),
        pytest.param(mutual, by_certificate, id="mutual TLS; client certificate"),
        pytest.param(sasl("PLAIN"), by_password(), id="SASL_SSL with PLAIN"),
        pytest.param(sasl("SCRAM-SHA-256"), by_password(), id="SASL_SSL with SCRAM"),
    ],
)
def test_the_sink_runs(
    sink: Sink, kafka: SecureKafka, postgres: SecurePostgres, files: Files, way: Kafka, url: Url
) -> None:
    result = sink.run("run", url(postgres, files), way(kafka, files), "--until-end")
    assert result.code == 0, result.text


CA_REMEDY = "check [kafka] ssl.* and the brokers' certificate: its authority, its dates, the host that it names"
LOGIN_REMEDY = "check [kafka] security.protocol and sasl.*"


@pytest.mark.parametrize(
    ("way", "said"),
    [
        pytest.param(tls(authority="stranger"), f"certificate verify failed.*{CA_REMEDY}", id="wrong authority"),
        pytest.param(tls("EXPIRED"), f"certificate verify failed.*{CA_REMEDY}", id="expired certificate"),
        pytest.param(tls("ELSEWHERE"), f"certificate verify failed.*{CA_REMEDY}", id="another host's certificate"),
        pytest.param(tls("MUTUAL"), f"certificate required.*{CA_REMEDY}", id="no client certificate"),
        pytest.param(sasl("PLAIN", WRONG_PASSWORD), f"Invalid username or password.*{LOGIN_REMEDY}", id="password"),
        pytest.param(
            sasl("SCRAM-SHA-256", WRONG_PASSWORD), f"invalid credentials.*{LOGIN_REMEDY}", id="password of SCRAM"
        ),
        pytest.param(
            sasl("SCRAM-SHA-512"), f"Unsupported SASL mechanism.*PLAIN,SCRAM-SHA-256.*{LOGIN_REMEDY}", id="mechanism"
        ),
        pytest.param(sasl("PLAIN", listener="TLS"), f"handshake failed.*{LOGIN_REMEDY}", id="SASL where there is none"),
    ],
)
def test_a_wrong_way_into_kafka_is_told_and_how_to_mend_it(
    sink: Sink, kafka: SecureKafka, postgres: SecurePostgres, files: Files, way: Kafka, said: str
) -> None:
    result = sink.run("run", by_password()(postgres, files), way(kafka, files), "--until-end")
    assert result.code == 3, result.text
    assert re.search(_pattern(said), result.text), result.text


@pytest.mark.parametrize(
    ("way", "said"),
    [
        pytest.param(plain("TLS"), "as brokers that expect TLS do; check .kafka. security.protocol", id="plain to TLS"),
        # "connecting to a PLAINTEXT broker listener?" follows, unless the broker's end was closed another way.
        pytest.param(tls("PLAINTEXT"), "SSL connection closed by peer.*in state SSL_HANDSHAKE", id="TLS to plain"),
    ],
)
def test_what_may_be_an_outage_is_tried_again_and_says_what_was_heard(
    kafka: SecureKafka, files: Files, way: Kafka, said: str
) -> None:
    cluster = Cluster(KafkaOptions(group_id="g", properties=way(kafka, files)), timeout_seconds=1.0)
    with pytest.raises(TryAgainError, match=_pattern(said)):
        cluster.cluster_id()


TLS_REMEDY = "check sslmode, sslrootcert, sslcert and sslkey in [database] url"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        pytest.param(
            lambda postgres, files: postgres.url(USER, PASSWORD, sslrootcert=str(files.stranger)),
            f"certificate verify failed.*{TLS_REMEDY}",
            id="wrong authority",
        ),
        pytest.param(by_password(host="localhost"), f"does not match host name.*{TLS_REMEDY}", id="another host's"),
        pytest.param(
            by_password(sslrootcert="/nowhere/ca.pem"), f"/nowhere/ca.pem.*does not exist.*{TLS_REMEDY}", id="no file"
        ),
        pytest.param(
            lambda postgres, _: postgres.url(f"{USER}_certified"),
            "requires a valid client certificate.*check the user in .database. url",
            id="no client certificate",
        ),
        pytest.param(by_password(WRONG_PASSWORD), "check the password in .database. url", id="password"),
        pytest.param(by_password(sslmode="disable"), "no encryption.*check the user in .database. url", id="no TLS"),
    ],
)
def test_a_wrong_way_into_postgresql_is_told_and_how_to_mend_it(
    sink: Sink, kafka: SecureKafka, postgres: SecurePostgres, files: Files, url: Url, said: str
) -> None:
    result = sink.run("run", url(postgres, files), tls()(kafka, files), "--until-end")
    assert result.code == 3, result.text
    assert re.search(_pattern(said), result.text), result.text


@pytest.fixture
def _expired(postgres: SecurePostgres) -> Iterator[None]:
    """The server's certificate has run out meanwhile."""
    certificate = "ALTER SYSTEM SET ssl_cert_file = '{}.crt'", "ALTER SYSTEM SET ssl_key_file = '{}.key'"
    postgres.reconfigure(*(text.format("expired") for text in certificate))
    yield
    postgres.reconfigure(*(text.format("server") for text in certificate), verify=False)


@pytest.mark.usefixtures("_expired")
def test_an_expired_certificate_of_postgresql_is_told(
    sink: Sink, kafka: SecureKafka, postgres: SecurePostgres, files: Files
) -> None:
    result = sink.run("check", by_password()(postgres, files), tls()(kafka, files))
    assert result.code == 1
    assert re.search(_pattern(f"certificate verify failed.*{TLS_REMEDY}"), result.text), result.text


def test_a_new_sasl_password_is_taken_while_the_sink_runs(
    sink: Sink, kafka: SecureKafka, postgres: SecurePostgres, files: Files, tmp_path: Path
) -> None:
    way = dict(sasl("SCRAM-SHA-256")(kafka, files))
    del way["sasl.password"]
    config = sink.configure(by_password()(postgres, files), way)
    password_file = tmp_path / "secrets" / "kafka__sasl_password"
    password_file.parent.mkdir()
    password_file.write_text(PASSWORD)
    log = tmp_path / "log"
    command = [sys.executable, "-P", "-m", "inbox", "run", "--config", str(config)]
    variables = environment(INBOX_SECRETS_DIR=str(password_file.parent))
    with log.open("wb") as stderr, subprocess.Popen(command, env=variables, stderr=stderr) as process:
        try:
            eventually(lambda: "assigned" in log.read_text(), what="an assignment")
            kafka.set_password(WRONG_PASSWORD)
            password_file.write_text(WRONG_PASSWORD)
            eventually(lambda: log.read_text().count("assigned") == 2, what="another worker's assignment")
            produce(kafka.at("PLAINTEXT"), kafka.topic, [b'{"order_id": 77}'])
            eventually(lambda: postgres.count("public.orders WHERE order_id = 77") == 1, what="the event")
            process.terminate()
            assert process.wait(120) == 0
        finally:
            kafka.set_password(PASSWORD)
            process.kill()
    assert log.read_text().count("secrets-changed") == 1
    assert PASSWORD not in log.read_text()
    assert WRONG_PASSWORD not in log.read_text()


def _pattern(said: str) -> str:
    """A regular expression in which only `.` and `.*` mean more than they say; lines may be broken anywhere."""
    return "(?s)" + re.escape(said).replace(r"\.\*", ".*").replace(r"\ ", r"\s+").replace(r"\.", ".")
