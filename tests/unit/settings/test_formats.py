"""What a route may say about the formats of its values and keys."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inbox.reading.options import Format, KeyFormat
from inbox.relay.formats.options import SubjectNaming
from inbox.settings import Settings
from inbox.store.options import TableTarget

Load = Callable[..., Settings]
Refuse = Callable[..., str]


def test_a_route_names_its_formats_for_the_decoder_and_the_table(load: Load, small: str, table_route: str) -> None:
    lines = '[[routes]]\nformat = "connect-json"\nkey_format = "connect-json"\n'
    route = load(small + table_route.replace("[[routes]]\n", lines, 1)).routes[1]
    assert isinstance(route.target, TableTarget)
    assert (route.format.value, route.format.key) == (Format.CONNECT_JSON, KeyFormat.CONNECT_JSON)
    assert route.target.decoded


def test_json_is_decoded_by_the_database_and_keys_are_texts(load: Load, small: str, table_route: str) -> None:
    route = load(small + table_route).routes[1]
    assert isinstance(route.target, TableTarget)
    assert (route.format.value, route.format.key) == (Format.JSON, KeyFormat.TEXT)
    assert not route.target.decoded


@pytest.mark.parametrize("envelope", ["debezium", "cloudevents"])
def test_raw_bytes_have_no_envelope(refuse: Refuse, small: str, envelope: str) -> None:
    refused = refuse(small + f'format = "raw"\nenvelope = "{envelope}"\n')
    assert f'routes[0].envelope (inbox.toml): "{envelope}" is not read from format "raw"' in refused


@pytest.mark.parametrize(
    ("lines", "source", "expected"),
    [
        ('key_format = "connect-json"', "$key:/id", '"$key:/id" is read from a key in JSON'),
        (
            'format = "connect-json"\nenvelope = "debezium"\nevent_id = "debezium"',
            "$source:/lsn",
            '"$source:/lsn" is read from format "json"',
        ),
    ],
)
def test_a_column_that_would_always_be_null_is_refused(
    refuse: Refuse, small: str, table_route: str, lines: str, source: str, expected: str
) -> None:
    route = "\n".join(line for line in table_route.split("\n") if not ("event_id" in lines and "event_id =" in line))
    text = route.replace("[[routes]]\n", f"[[routes]]\n{lines}\n", 1)
    assert expected in refuse(small + text.rstrip() + f'\nextra = "{source}"\n')


@pytest.mark.parametrize(
    "url", ["https://tok-3n@registry:8081", "https://registry:8081/?token=s3", "https://a:8081,https://b:8081#x"]
)
def test_an_address_of_the_registry_that_may_hold_a_secret_is_refused_without_showing_it(
    refuse: Refuse, small: str, url: str
) -> None:
    refused = refuse(small + f'[registry]\nurl = "{url}"\n')
    assert "registry.url (inbox.toml): holds a user name or a query, which may be a secret" in refused
    assert not any(secret in refused for secret in ("tok-3n", "s3", "#x"))


SENDS = '[registry]\nurl = "http://registry:8081"\n[outbox]\nformat = "avro"\n'


def test_the_outbox_names_the_schemas_with_which_the_relay_sends(load: Load, small: str, tmp_path: Path) -> None:
    (tmp_path / "order.avsc").write_text('"int"')
    lines = 'subject = "topic-record"\nregister = true\n[outbox.schemas]\n"orders-Paid" = "order.avsc"\n'
    encoding = load(small + SENDS + lines).encoding
    assert encoding is not None
    assert (encoding.naming, encoding.register) == (SubjectNaming.TOPIC_RECORD, True)
    assert encoding.files["orders-Paid"].text == '"int"'


def test_without_a_format_the_relay_sends_payloads_as_they_are(load: Load, small: str) -> None:
    assert load(small + "[outbox]\n").encoding is None


def test_the_topic_of_the_copies_of_dead_letters_stays_json(load: Load, small: str) -> None:
    encoding = load(small + SENDS + '[failures]\ncopy_to = "dead"\n').encoding
    assert encoding is not None
    assert encoding.plain_topics == {"dead"}


def test_register_is_read_from_a_variable(load: Load, small: str) -> None:
    encoding = load(small + SENDS + "[outbox.schemas]\n", environ={"INBOX_OUTBOX__REGISTER": "false"}).encoding
    assert encoding is not None
    assert not encoding.register


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ('[outbox]\nformat = "avro"\n', 'outbox.format (inbox.toml): "avro" needs a schema; set [registry] url'),
        ("[outbox]\nregister = true\n", 'outbox.register (inbox.toml): is for format = "avro" or "json-schema"'),
        (SENDS + "register = true\n", "outbox.register (inbox.toml): needs the schemas that are registered"),
        (SENDS + 'relay = "debezium"\n', "outbox.format (inbox.toml): is for inbox relay"),
        (SENDS + 'envelope = "cloudevents"\n', "outbox.format (inbox.toml): cannot be combined with an envelope"),
        (SENDS + 'payload = "bytea"\n', 'outbox.format (inbox.toml): is made from JSON, and payload is "bytea"'),
        (SENDS + '[outbox.schemas]\ns = "none.avsc"\n', "schema_file none.avsc cannot be read"),
    ],
)
def test_what_does_not_go_with_the_format_of_the_outbox_is_refused(
    refuse: Refuse, small: str, lines: str, expected: str
) -> None:
    assert expected in refuse(small + lines)
