"""What a route may say about the formats of its values and keys."""

from collections.abc import Callable

import pytest

from inbox.reading.options import Format, KeyFormat
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


def test_connect_json_is_no_format_of_cloud_events(refuse: Refuse, small: str) -> None:
    refused = refuse(small + 'format = "connect-json"\nenvelope = "cloudevents"\n')
    assert 'routes[0].envelope (inbox.toml): "cloudevents" is not read from format "connect-json"' in refused


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
