"""The `[kafka]` section: librdkafka's names, and what guards delivery."""

import ctypes
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from confluent_kafka import Consumer, KafkaException, cimpl

from inbox.kafka.options import GUARDED, LOADS_CODE
from inbox.kafka.secret_names import is_secret
from inbox.settings import Settings
from inbox.settings.librdkafka import KNOWN
from inbox.settings.librdkafka_values import _IN_A_COMMAND, VALUES

Load = Callable[..., Settings]
Refuse = Callable[..., str]
Capture = pytest.CaptureFixture[str]


def test_the_sinks_name_is_the_group_unless_another_is_given(load: Load) -> None:
    assert load().kafka.group_id == "inventory"

    other = load(flags={"group.id": "other", "group.instance.id": "pod-0"}).kafka

    assert other.group_id == "other"
    assert other.properties == {"bootstrap.servers": "kafka:9092", "group.instance.id": "pod-0"}


def test_values_of_toml_become_those_of_librdkafka(load: Load, small: str) -> None:
    text = small.replace("[[routes]]", '"socket.keepalive.enable" = true\n"session.timeout.ms" = 45000\n[[routes]]')

    properties = load(text).kafka.properties

    assert properties["socket.keepalive.enable"] == "true"
    assert properties["session.timeout.ms"] == "45000"


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_a_guarded_property_may_say_what_holds_anyway(load: Load, name: str) -> None:
    assert load(flags={name: GUARDED[name][0]}) == load()


@pytest.mark.parametrize("name", sorted(GUARDED))
def test_a_guarded_property_is_refused_with_the_reason(refuse: Refuse, name: str) -> None:
    ours, reason = GUARDED[name]

    assert refuse(flags={name: "other"}) == (
        f'kafka."{name}" (flag -X): must stay "{ours}", not "other": {reason}; leave it out'
    )


@pytest.mark.parametrize("spelling", ["0", "f", "False"])
def test_a_guarded_false_may_be_spelt_as_librdkafka_allows(load: Load, spelling: str) -> None:
    assert load(flags={"enable.auto.commit": spelling}) == load()


def test_a_guard_holds_under_the_other_name_too(refuse: Refuse) -> None:
    assert 'kafka."auto.commit.enable" (flag -X): must stay "false"' in refuse(flags={"auto.commit.enable": "true"})


def test_the_brokers_are_needed(refuse: Refuse, small: str) -> None:
    assert 'kafka."bootstrap.servers": missing' in refuse(small.replace('"bootstrap.servers" = "kafka:9092"', ""))
    assert 'kafka."bootstrap.servers" (flag -X): is empty' in refuse(flags={"bootstrap.servers": ""})


def test_the_brokers_under_their_other_name_are_enough(load: Load, small: str) -> None:
    text = small.replace('"bootstrap.servers"', '"metadata.broker.list"')

    assert load(text) == load()


def test_one_property_under_two_names_is_refused(refuse: Refuse, small: str) -> None:
    said = refuse(small.replace("[[routes]]", '"metadata.broker.list" = "other:9092"\n[[routes]]'))

    assert "means the same as bootstrap.servers" in said


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("bootstrap.server", "bootstrap.servers"),
        ("sasl.pasword", "sasl.password"),
        ("bootstrap_servers", "bootstrap.servers"),
        ("error_cb", ""),
    ],
)
def test_an_unknown_property_is_refused_with_the_nearest(refuse: Refuse, name: str, nearest: str) -> None:
    said = refuse(flags={name: "x"})

    assert "(flag -X): librdkafka has no such property; " in said
    assert nearest in said


def test_a_property_that_is_no_single_value_is_refused(refuse: Refuse, small: str) -> None:
    said = refuse(small.replace('"kafka:9092"', '["kafka:9092"]'))

    assert 'kafka."bootstrap.servers" (inbox.toml): expected a text' in said


@pytest.mark.parametrize(
    "name",
    [
        "sasl.password",
        "sasl.pasword.password",
        "ssl.key.password",
        "ssl.keystore.password",
        "ssl.key.pem",
        "sasl.oauthbearer.client.secret",
        "sasl.oauthbearer.client.credentials.client.secret",
        "sasl.oauthbearer.assertion.private.key.passphrase",
        "sasl.oauthbearer.assertion.private.key.pem",
        "sasl.oauthbearer.config",
        "basic.auth.user.info",
    ],
)
def test_properties_that_hold_secrets_are_known(name: str) -> None:
    assert is_secret(name)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("socket.timeout.ms", "abc", 'expected a whole number from 10 to 300000, not "abc"'),
        ("socket.timeout.ms", "1", 'expected a whole number from 10 to 300000, not "1"'),
        ("session.timeout.ms", "6s", 'expected a whole number from 1 to 3600000, not "6s"'),
        ("message.max.bytes", "1MB", 'expected a whole number from 1000 to 1000000000, not "1MB"'),
        ("linger.ms", "soon", 'expected a number from 0 to 900000, not "soon"'),
        ("socket.keepalive.enable", "yes", 'expected true or false, not "yes"'),
        ("security.protocol", "tls", 'expected one of plaintext, ssl, sasl_plaintext, sasl_ssl, not "tls"'),
    ],
)
def test_a_value_that_no_client_takes_is_refused_wherever_it_comes_from(
    refuse: Refuse, small: str, name: str, value: str, expected: str
) -> None:
    assert f'kafka."{name}" (flag -X): {expected}' in refuse(flags={name: value})
    assert f'kafka."{name}" (inbox.toml): {expected}' in refuse(
        small.replace("[[routes]]", f'"{name}" = "{value}"\n[[routes]]')
    )
    variable = f"INBOX_KAFKA__{name.replace('.', '_').upper()}"
    assert f": {expected}" in refuse(environ={variable: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("security.protocol", "SASL_SSL"), ("linger.ms", "0.5"), ("socket.keepalive.enable", "T")],
)
def test_a_value_is_taken_as_librdkafka_takes_it(load: Load, name: str, value: str) -> None:
    assert load(flags={name: value}).kafka.properties[name] == value


def test_the_values_are_those_of_the_librdkafka_in_use(tmp_path: Path) -> None:
    ranges = {row[0].strip(): row[2].strip() for row in listed(tmp_path) if len(row) > 3}
    for name, (kind, *values) in VALUES.items():
        shown = {"integer": " .. ", "number": " .. ", "boolean": ", ", "one-of": ", "}[kind].join(values)
        assert ranges[name] == (shown or "true, false"), name


def listed(directory: Path) -> list[list[str]]:
    """The rows of the table of properties that librdkafka prints of itself."""
    listing = directory / "configuration.md"
    library, process = ctypes.CDLL(cimpl.__file__), ctypes.CDLL(None)
    process.fopen.restype = ctypes.c_void_p
    stream = ctypes.c_void_p(process.fopen(str(listing).encode(), b"w"))
    library.rd_kafka_conf_properties_show(stream)
    process.fclose(stream)

    return [line.split("|") for line in listing.read_text().splitlines() if line.count("|") > 2]


def test_the_names_are_those_of_the_librdkafka_in_use(tmp_path: Path) -> None:
    rows = listed(tmp_path)
    settable = {row[0].strip() for row in rows[2:] if "see dedicated API" not in row[-1]}

    assert settable - {"Property", "builtin.features"} - {name for name in settable if name.startswith("---")} == KNOWN


@pytest.mark.parametrize("name", sorted(LOADS_CODE))
def test_a_file_cannot_make_the_sink_load_a_library(refuse: Refuse, small: str, name: str) -> None:
    text = small.replace("[[routes]]", f'"{name}" = "evil.so"\n[[routes]]')

    assert f"give it as -X {name}=" in refuse(text)


@pytest.mark.parametrize("name", sorted(LOADS_CODE))
def test_an_environment_variable_cannot_make_the_sink_load_a_library(refuse: Refuse, name: str) -> None:
    assert "native code" in refuse(environ={f"INBOX_KAFKA__{name.replace('.', '_').upper()}": "evil.so"})


@pytest.mark.parametrize("name", sorted(LOADS_CODE))
def test_the_command_line_may_name_a_library(load: Load, name: str) -> None:
    assert load(flags={name: "mine"}).kafka.properties[name] == "mine"


@pytest.mark.parametrize("name", ["sasl.kerberos.keytab", "sasl.kerberos.principal", "sasl.kerberos.service.name"])
def test_what_goes_into_a_shell_command_is_one_word(load: Load, refuse: Refuse, name: str) -> None:
    assert "shell command" in refuse(flags={name: "x; touch /tmp/harm"})
    assert "shell command" in refuse(flags={name: "$(id)"})
    assert load(flags={name: "inbox/db-1@REALM.ORG"}).kafka.properties[name]


def test_what_the_command_for_kerberos_tickets_is_made_of_is_known(tmp_path: Path) -> None:
    [command] = [row[3] for row in listed(tmp_path) if row[0].strip() == "sasl.kerberos.kinit.cmd"]

    assert set(re.findall(r"%\{([\w.]+)}", command)) <= {*_IN_A_COMMAND, "config.prop.name"}


def test_a_url_with_a_login_is_refused_where_it_is_no_secret(refuse: Refuse) -> None:
    said = refuse(environ={"INBOX_KAFKA__SASL_OAUTHBEARER_TOKEN_ENDPOINT_URL": "https://client:hunter2@idp/token"})

    assert "holds a password" in said
    assert "hunter2" not in said


REVIEWED = {
    "sasl.oauthbearer.token.endpoint.url",
    "sasl.oauthbearer.assertion.private.key.file",
    "enable.sasl.oauthbearer.unsecure.jwt",
    "sasl.oauthbearer.method",
    "ssl.key.location",
    "ssl.certificate.location",
    "ssl.keystore.location",
    "sasl.oauthbearer.assertion.algorithm",
    "sasl.oauthbearer.metadata.authentication.type",
    "sasl.oauthbearer.client.credentials.client.id",
    "sasl.oauthbearer.sub.claim.name",
    "sasl.oauthbearer.grant.type",
    "sasl.oauthbearer.assertion.file",
    "https.ca.location",
    "sasl.username",
}
"""Properties whose name or description speaks of secrets, and that hold none: a path, a method, an address, a name."""


def test_every_property_that_speaks_of_a_secret_is_one_or_was_reviewed(tmp_path: Path) -> None:
    speaks = re.compile(r"password|passphrase|secret|credential|private key|PEM|\bjwt token|\btoken\b", re.IGNORECASE)
    named = {row[0].strip() for row in listed(tmp_path)[2:] if speaks.search(row[0] + row[-1])} & KNOWN

    assert len(named) > 10
    assert {name for name in named if not is_secret(name)} - REVIEWED == set()


def test_every_value_that_librdkafka_itself_hides_is_a_secret(tmp_path: Path, capfd: Capture) -> None:
    """With `debug=conf` it shows what was set, and `[redacted]` for what it calls sensitive."""
    texts = {row[0].strip() for row in listed(tmp_path)[2:] if row[-1].strip().endswith("*Type: string*")} & KNOWN
    for name in sorted(texts - LOADS_CODE):
        with suppress(KafkaException):
            Consumer({"group.id": "g", "bootstrap.servers": "127.0.0.1:1", "debug": "conf", name: "MARK"}).close()
    redacted = set(re.findall(r"\]:   (\S+) = \[redacted\]", capfd.readouterr().err))

    assert {"sasl.password", "ssl.key.password"} <= redacted
    assert {name for name in redacted if not is_secret(name)} <= REVIEWED
