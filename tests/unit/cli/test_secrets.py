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
