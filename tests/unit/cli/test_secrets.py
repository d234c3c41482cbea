"""What is shown of a configuration when something unforeseen quotes it."""

import pytest
from pydantic import SecretStr

from inbox.cli.secrets import Secrets, without_passwords
from inbox.kafka.options import KafkaOptions
from inbox.store.options import DatabaseOptions

URL = "postgresql://inbox:hunter%402@db/inbox"


@pytest.fixture
def secrets() -> Secrets:
    learned = Secrets()
    properties = {"sasl.password": "s3cret", "bootstrap.servers": "kafka:9092"}
    learned.learn(DatabaseOptions(url=SecretStr(URL)), KafkaOptions(group_id="g", properties=properties))
    return learned


@pytest.mark.parametrize("secret", [URL, "hunter%402", "hunter@2", "s3cret"])
def test_what_the_configuration_holds_is_hidden_wherever_it_stands(secrets: Secrets, secret: str) -> None:
    assert secret not in secrets.hidden(f"defect in {secret!r}: {{'x': {secret}}}")


@pytest.mark.parametrize("text", ["postgresql://a:hunter2@b/c", "host=b password=hunter2", "password = 'hunter2 x'"])
def test_a_password_that_was_never_learned_is_hidden_by_its_place(text: str) -> None:
    assert "hunter2" not in without_passwords(text)


def test_the_rest_of_a_text_stays(secrets: Secrets) -> None:
    assert secrets.hidden("asking kafka:9092 for orders[3]@1842") == "asking kafka:9092 for orders[3]@1842"


def test_a_password_in_the_query_of_a_url_is_a_secret() -> None:
    learned = Secrets()
    learned.learn(DatabaseOptions(url=SecretStr("postgresql://db/inbox?user=a&password=hunter2&sslmode=require")))
    assert "hunter2" not in learned.hidden("the word is hunter2")


@pytest.mark.parametrize(
    "text",
    [
        "sslpassword=hunter2",
        "oauth_client_secret='hunter2 x'",
        "PGPASSWORD=hunter2 psql",
        "scram_client_key=hunter2",
        "postgresql://db/inbox?sslpassword=hunter2&sslmode=require",
        "Unrecognized sasl.oauthbearer.config beginning at: token=hunter2 (_AUTHENTICATION); check it",
        "Invalid sasl.oauthbearer.config: non-integral 'lifeSeconds=': hunter2",
        "Unrecognized sasl.oauthbearer.extensions beginning at: hunter2",
    ],
)
def test_every_parameter_of_libpq_and_librdkafka_that_holds_a_secret_is_known(text: str) -> None:
    assert "hunter2" not in without_passwords(text)


def test_what_stands_behind_a_quoted_secret_stays() -> None:
    told = "Unrecognized sasl.oauthbearer.config beginning at: x=hunter2 (_AUTHENTICATION); check it"
    assert without_passwords(told).endswith(" (_AUTHENTICATION); check it")


def test_a_secret_is_hidden_in_a_sentence() -> None:
    learned = Secrets()
    learned.learn(DatabaseOptions(url=SecretStr("postgresql://ada:correct-horse@db/inbox")))
    assert learned.hidden_in_sentence("it is correct-horse") == "it is ********"


@pytest.mark.parametrize("password", ["inbox", "inventory"])
def test_a_secret_that_is_a_public_name_too_leaves_sentences_readable(password: str) -> None:
    learned = Secrets()
    learned.learn(DatabaseOptions(url=SecretStr(f"postgresql://inventory:{password}@db/inbox")))
    assert learned.hidden_in_sentence("run `inbox migrate` for inventory") == "run `inbox migrate` for inventory"
