"""What is shown of a configuration when something unforeseen quotes it."""

import json
import threading
from importlib import import_module
from urllib.parse import quote

import pytest
from psycopg import pq
from pydantic import SecretStr

from inbox import log_lines
from inbox.cli.redaction import Secrets, without_passwords
from inbox.errors import InboxError, StartupError
from inbox.kafka.consumer_properties import require_consumer
from inbox.kafka.options import KafkaOptions
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import connect

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
        "sasl.password=hunter2",
        'the line "sasl.password" = "hunter2 x"',
        "{'sasl.password': 'hunter2'}",
        '{"sasl.oauthbearer.client.secret": "hunter2"}',
        "INBOX_KAFKA__SASL_PASSWORD=hunter2",
        "INBOX_KAFKA__SASL_OAUTHBEARER_ASSERTION_PRIVATE_KEY_PASSPHRASE=hunter2",
        "ssl.key.pem=hunter2",
        "postgresql://u:pass@hunter2@db/inbox",
        "postgresql://:hunter2@db/inbox",
        "postgresql://u:hunter2@[::1]:5432,[::2]:5432/inbox",
        "postgresql://u:hunter2@a:5432,b:5433/inbox?target_session_attrs=read-write",
        "https://client:hunter2@idp/token",
    ],
)
def test_every_parameter_of_libpq_and_librdkafka_that_holds_a_secret_is_known(text: str) -> None:
    assert "hunter2" not in without_passwords(text)


def test_every_parameter_that_libpq_itself_calls_secret_is_known() -> None:
    """`*` is a password, `D` what is for debugging, of which two are no secret."""
    of_libpq = [each.keyword.decode() for each in pq.Conninfo.get_defaults() if each.dispchar in (b"*", b"D")]
    secret = set(of_libpq) - {"replication", "sslkeylogfile"}

    assert {"password", "sslpassword", "oauth_client_secret", "scram_client_key"} <= secret
    assert [name for name in secret if "hunter2" in without_passwords(f"host=db {name}=hunter2")] == []


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


@pytest.mark.parametrize("password", ["hunter2", "k8s!", "correct-horse", "correcthorse"])
def test_a_secret_that_is_no_word_is_hidden_in_a_sentence(password: str) -> None:
    learned = Secrets()
    learned.learn_value(password)
    assert learned.hidden_in_sentence(f"it is {password}") == "it is ********"


AWKWARD = "a'b\"c\\d/é"


@pytest.mark.parametrize(
    "quoted",
    [AWKWARD, repr(AWKWARD), json.dumps(AWKWARD), json.dumps(AWKWARD, ensure_ascii=False), quote(AWKWARD, safe="")],
)
def test_a_secret_is_hidden_as_python_json_and_urls_quote_it(quoted: str) -> None:
    learned = Secrets()
    learned.learn_value(AWKWARD)
    assert learned.hidden_in_sentence(f"it is {quoted}") in ("it is ********", "it is '********'", 'it is "********"')


def test_each_line_of_a_key_is_a_secret() -> None:
    learned = Secrets()
    learned.learn_value("-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\n-----END PRIVATE KEY-----\n")
    assert "MIIEvQ" not in learned.hidden_in_sentence("cannot read MIIEvQIBADANBgkqhkiG9w0BAQEFAASC")


def test_a_thread_that_ends_with_a_defect_shows_no_secret(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise RuntimeError(f"cannot divide {URL} by s3cret")

    monkeypatch.setattr(threading, "excepthook", None)
    import_module("inbox.cli.program")._hide_in_tracebacks_of_threads(secrets)
    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()

    shown = capsys.readouterr().err
    assert "RuntimeError: cannot divide" in shown
    assert not [secret for secret in ("hunter", "s3cret") if secret in shown]


def test_a_secret_within_a_list_of_a_log_line_is_hidden(
    secrets: Secrets, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(log_lines, "_hide", secrets.hidden)
    log_lines.configure_logging(human=False)

    log_lines.log().warning("trouble", errors=["s3cret"], by={"a": ("s3cret",)}, error=ValueError("s3cret"), count=3)

    shown = capsys.readouterr().err
    assert "s3cret" not in shown
    assert '"count": 3' in shown


OAUTH = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanisms": "OAUTHBEARER"}
OIDC = {
    **OAUTH,
    "sasl.oauthbearer.method": "oidc",
    "sasl.oauthbearer.client.id": "inbox",
    "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/token",
}
BODY = "hunter2hunter2hunter2"
PEM = f"-----BEGIN PRIVATE KEY-----\n{BODY}\n-----END PRIVATE KEY-----"


@pytest.mark.parametrize(
    "properties",
    [
        {"security.protocol": "SSL", "ssl.key.pem": "hunter2"},
        {"security.protocol": "SSL", "ssl.key.pem": PEM},
        {"security.protocol": "SSL", "ssl.certificate.pem": "hunter2"},
        {"security.protocol": "SSL", "ssl.key.location": __file__, "ssl.key.password": "hunter2"},
        {"security.protocol": "SSL", "ssl.keystore.location": __file__, "ssl.keystore.password": "hunter2"},
        {**OIDC, "sasl.oauthbearer.client.id": "", "sasl.oauthbearer.client.secret": "hunter2"},
        {**OIDC, "sasl.oauthbearer.config": "hunter2", "sasl.oauthbearer.client.secret": ""},
        {**OAUTH, "enable.sasl.oauthbearer.unsecure.jwt": "maybe", "sasl.oauthbearer.config": "hunter2"},
    ],
)
def test_librdkafkas_refusal_of_a_configuration_shows_no_secret(properties: dict[str, str]) -> None:
    options, learned = KafkaOptions(group_id="g", properties=properties), Secrets()
    learned.learn(DatabaseOptions(url=SecretStr("postgresql://db/inbox")), options)

    with pytest.raises(StartupError) as refused:
        require_consumer(options)

    assert "hunter2" not in learned.hidden_in_sentence(str(refused.value))


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:hunter2@127.0.0.1:1/d",
        "postgresql://u:hunter%32@127.0.0.1:1,127.0.0.1:2/d",
        "postgresql://u:hunter2@[::1]:1/d",
        "postgresql://u@127.0.0.1:1/d?password=hunter2",
        "postgresql://u@127.0.0.1:1/d?sslpassword=hunter2&sslmode=require",
        "postgresql://u@127.0.0.1:1/d?scram_client_key=hunter2",
        "postgresql://u:hunter2@127.0.0.1:1/d?sslmode=nope",
        "postgresql://u:hunter2@127.0.0.1:1/d?connect_timeout=nope",
        "postgresql://u:hunter2@127.0.0.1:1/d?service=nope",
    ],
)
def test_libpqs_refusal_of_a_connection_shows_no_secret(url: str) -> None:
    options, learned = DatabaseOptions(url=SecretStr(url)), Secrets()
    learned.learn(options)

    with pytest.raises(InboxError) as refused:
        connect(options, application_name="test")

    assert "hunter2" not in learned.hidden_in_sentence(str(refused.value))
