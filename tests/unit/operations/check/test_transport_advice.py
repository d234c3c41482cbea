"""What `inbox check` says of connections that others can read, or answer."""

import pytest
from psycopg import pq
from pydantic import SecretStr

from inbox.kafka.options import KafkaOptions
from inbox.operations.check.transport_advice import advice_on_brokers, advice_on_database
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.server import Transport, transport_of


def of_database(url: str) -> list[str]:
    return advice_on_database(transport_of(DatabaseOptions(url=SecretStr(url))))


def of_brokers(servers: str = "kafka:9092", **properties: str) -> list[str]:
    given = {name.replace("_", "."): value for name, value in properties.items()}
    return advice_on_brokers(KafkaOptions(group_id="g", properties={"bootstrap.servers": servers, **given}))


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    """libpq's variables are set by no test but on purpose."""
    for each in pq.Conninfo.get_defaults():
        if each.envvar:
            monkeypatch.delenv(each.envvar.decode(), raising=False)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("", "(sslmode prefer) is not encrypted where the server"),
        ("?sslmode=disable", "(sslmode disable) is not encrypted;"),
        ("?sslmode=allow", "only if the server insists"),
        ("?sslmode=require", "the server's certificate is not checked"),
        ("?sslmode=verify-ca", "the name in the server's certificate is not checked"),
    ],
)
def test_less_than_verify_full_to_another_machine_is_advised_on(query: str, said: str) -> None:
    [advice] = of_database(f"postgresql://inbox:hunter2@db:5432/inbox{query}")

    assert said in advice
    assert "the connection to db " in advice
    assert advice.endswith("; set sslmode=verify-full and sslrootcert in [database] url")
    assert "hunter2" not in advice


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://inbox@db/inbox?sslmode=verify-full",
        "postgresql://inbox@db/inbox?sslrootcert=system",
        "postgresql://inbox@db/inbox?gssencmode=require",
        "postgresql://inbox@localhost/inbox",
        "postgresql://inbox@127.0.0.2,[::1]/inbox",
        "postgresql:///inbox?host=/var/run/postgresql",
        "postgresql:///inbox",
        "postgresql://db/inbox?hostaddr=127.0.0.1",
    ],
)
def test_a_checked_or_a_local_database_is_not_advised_on(url: str) -> None:
    assert of_database(url) == []


def test_the_hosts_that_are_elsewhere_are_named() -> None:
    [advice] = of_database("postgresql://a,localhost,b/inbox")

    assert "the connection to a, b " in advice


def test_variables_of_libpq_count_where_the_url_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGSSLMODE", "verify-full")
    assert of_database("postgresql://db/inbox") == []
    assert of_database("postgresql://db/inbox?sslmode=require") != []
    monkeypatch.setenv("PGHOST", "db")
    monkeypatch.delenv("PGSSLMODE")
    assert of_database("postgresql:///inbox") != []


def test_every_sslmode_below_verify_full_has_its_words() -> None:
    modes = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
    assert [mode for mode in modes if not advice_on_database(Transport(("db",), mode))] == ["verify-full"]


@pytest.mark.parametrize(
    ("properties", "said"),
    [
        ({}, "every event travels to kafka in plain text"),
        ({"security_protocol": "PLAINTEXT"}, "every event travels to kafka in plain text"),
        ({"security_protocol": "sasl_plaintext"}, "the login and every event travel to kafka in plain text"),
        ({"security_protocol": "SSL", "enable_ssl_certificate_verification": "False"}, "anybody may answer for kafka"),
        (
            {"security_protocol": "sasl_ssl", "ssl_endpoint_identification_algorithm": "none"},
            "anybody with a certificate of the same authority may answer for kafka",
        ),
    ],
)
def test_brokers_elsewhere_without_tls_or_without_a_check_are_advised_on(properties: dict[str, str], said: str) -> None:
    [advice] = of_brokers(**properties)

    assert advice.startswith(said)


@pytest.mark.parametrize("protocol", ["SSL", "SASL_SSL"])
def test_checked_brokers_are_not_advised_on(protocol: str) -> None:
    assert of_brokers(security_protocol=protocol) == []


@pytest.mark.parametrize("servers", ["localhost:9092", "127.0.0.1:9092, [::1]:9093", "PLAINTEXT://localhost:9092"])
def test_brokers_of_this_machine_are_not_advised_on(servers: str) -> None:
    assert of_brokers(servers, security_protocol="SASL_PLAINTEXT") == []


def test_brokers_elsewhere_beside_one_of_this_machine_are_named() -> None:
    [advice] = of_brokers("localhost:9092,SASL_PLAINTEXT://a:9092,[2001:db8::1]:9092,b")

    assert "travels to a, 2001:db8::1, b in plain text" in advice
