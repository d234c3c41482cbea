"""The connector that `inbox outbox connector` prints."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import SecretStr

from inbox.cli.program import result_of
from inbox.operations.debezium_connector import heartbeat_topic
from inbox.store.options import DatabaseOptions

CONFIGURATION = """
[database]
url = "{url}"
schema = "{schema}"
[kafka]
"bootstrap.servers" = "kafka:9092"
[outbox]
payload = "{payload}"
"""
Result = tuple[int, str, str]
Printed = Callable[..., Result]
URL = "postgresql://orders:hunter2@db.example:6432/orders?sslmode=verify-full&sslrootcert=/etc/ca.pem"


@pytest.fixture
def printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    """What the command prints for a configuration."""

    def run(*options: str, url: str = URL, schema: str = "inbox", payload: str = "json") -> Result:
        config = tmp_path / "inbox.toml"
        config.write_text(CONFIGURATION.format(url=url, schema=schema, payload=payload))
        code = result_of(["outbox", "connector", "--config", str(config), *options])
        return (code, *capsys.readouterr())

    return run


def test_it_is_of_this_database_and_holds_no_secret(printed: Printed) -> None:
    code, out, _ = printed()
    told = json.loads(out)
    config = told["config"]
    assert code == 0
    assert told["name"] == config["slot.name"] == config["publication.name"] == config["database.user"]
    assert told["name"] == "orders_inbox_outbox"
    where = [config[f"database.{key}"] for key in ("hostname", "port", "dbname", "sslmode", "sslrootcert")]
    assert where == ["db.example", "6432", "orders", "verify-full", "/etc/ca.pem"]
    assert config["database.password"] == "${env:OUTBOX_CONNECTOR_PASSWORD}"
    assert "hunter2" not in out


def test_the_heartbeats_topic_is_named_by_debeziums_rule(printed: Printed) -> None:
    config = json.loads(printed()[1])["config"]
    topic = heartbeat_topic(DatabaseOptions(url=SecretStr(URL)))
    assert topic == f"{config['topic.heartbeat.prefix']}.{config['topic.prefix']}"


def test_every_value_is_a_text_as_kafka_connect_wants_it(printed: Printed) -> None:
    config = json.loads(printed(payload="bytea")[1])["config"]
    assert all(isinstance(value, str) for value in config.values())
    assert config["value.converter"] == "io.debezium.converters.BinaryDataConverter"


def test_a_name_that_is_no_slots_name_is_made_one_and_stays_unique(printed: Printed) -> None:
    names = {json.loads(printed(schema=schema)[1])["name"] for schema in ("Inbox", "inbox", "in$box", "x" * 60)}
    assert len(names) == 4
    assert all(len(name) <= 63 and name.replace("_", "a").isalnum() and name.islower() for name in names)


def test_a_schema_is_no_pattern(printed: Printed) -> None:
    assert json.loads(printed(schema="in$box")[1])["config"]["table.include.list"] == r"in\$box\.outbox"


def test_the_sql_quotes_names(printed: Printed) -> None:
    code, out, _ = printed("--sql", url="postgresql://u@db/Or%20ders", schema="in$box")
    assert code == 0
    assert 'FOR TABLE "in$box"."outbox" WITH (publish = \'insert\')' in out
    assert 'GRANT CONNECT ON DATABASE "Or ders" TO' in out


@pytest.mark.parametrize("url", ["postgresql://u@a,b/orders", "postgresql:///orders", "postgresql://u@%2Frun/orders"])
def test_a_database_that_a_connector_cannot_reach_is_refused(printed: Printed, url: str) -> None:
    code, out, err = printed(url=url)
    assert (code, out) == (3, "")
    assert "needs one host and a database" in err
