"""`inbox test`: events in, rows and dead letters expected, without Kafka."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

from inbox import EventError, Transaction
from inbox.cli.program import result_of
from inbox.events import Event
from tests.support.schemas import FieldType
from tests.support.sinks import offer_handlers, write_configuration

ROUTES = """
[[routes]]
name = "orders"
topic = "orders"
event_id = "coordinates"
[routes.table]
name = "public.orders"
mode = "upsert"
key = ["id"]
[routes.table.columns]
id = "/id"
amount = "/amount"
tags = "/tags"
document = "$value"
at = { from = "/at", as = "epoch-ms" }

[[routes]]
name = "reserve"
topics = ["order.events", "orders"]
types = ["OrderCreated"]
event_type = "header:type"
handler = "reserve"
"""

SCHEMA = """
CREATE TABLE orders (
    id int PRIMARY KEY, amount numeric(12, 2) CHECK (amount >= 0), tags text[], document jsonb, at timestamptz
);
CREATE TABLE stock (sku text PRIMARY KEY, free int NOT NULL);
INSERT INTO stock VALUES ('tea', 10);
"""

PASSING = """
schema = "schema.sql"

[[test]]
name = "an order becomes a row"
route = "orders"
events = [
    { value = { id = 1, amount = 5, tags = ["a"], at = 0 } },
    { value = { id = 2, amount = 7 } },
    { value = { id = 1, amount = 9.90, tags = ["a", "b"], at = 1000 } },
    { value = { id = 3, amount = -1 } },
    { text = "{" },
]
expect.rows."public.orders" = [
    { id = 2, amount = 7, document = { amount = 7, id = 2 } },
    { id = 1, amount = "9.9", tags = ["a", "b"], at = 1970-01-01T00:00:01Z },
]
expect.dead_letters = [{ event = 4, error = "not JSON that PostgreSQL accepts" }, { event = 3 }]

[[test]]
route = "reserve"
given = "UPDATE stock SET free = 5"
events = [
    { value = { sku = "tea", quantity = 2 }, headers = { event_id = "a", type = "OrderCreated" } },
    { value = { sku = "tea", quantity = 2 }, headers = { event_id = "a", type = "OrderCreated" } },
    { value = { sku = "tea", quantity = 2 }, headers = { event_id = "b", type = "OrderCancelled" } },
    { value = { sku = "tea", quantity = 0 }, headers = { event_id = "c", type = "OrderCreated" }, topic = "orders" },
]
expect.rows.stock = [{ sku = "tea", free = 3 }]
expect.dead_letters = [{ error = "nothing is ordered" }]
expect.filtered = 1
"""


def reserve(event: Event, tx: Transaction) -> None:
    order = event.json()
    if order["quantity"] == 0:
        raise EventError("nothing is ordered")
    tx.execute("UPDATE stock SET free = free - %s WHERE sku = %s", (order["quantity"], order["sku"]))


Run = Callable[..., tuple[int, str]]


@pytest.fixture(name="run")
def run_(tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `inbox test` with the text of a file; returns the exit code, and what was printed."""
    monkeypatch.syspath_prepend(str(offer_handlers(tmp_path / "packages", {"reserve": f"{__name__}:reserve"})))
    (tmp_path / "schema.sql").write_text(SCHEMA)
    config = write_configuration(
        tmp_path / "inbox.toml", database_url=database_url, bootstrap_servers="127.0.0.1:1", routes=ROUTES
    )

    def run(text: str, *options: str) -> tuple[int, str]:
        (tmp_path / "tests.toml").write_text(text)
        code = result_of(["test", str(tmp_path / "tests.toml"), "--config", str(config), *options])
        printed = capsys.readouterr()
        return code, printed.out + printed.err

    return run


def test_rows_and_dead_letters_are_compared_with_the_expected_ones(run: Run, database_url: str) -> None:
    code, printed = run(PASSING)
    assert (code, printed.splitlines()[-1]) == (0, "2 tests, 0 failed"), printed
    assert "an order becomes a row (route orders)" in printed
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT to_regclass('orders')").fetchone() == (None,)


def test_each_difference_is_a_line_that_names_the_values(run: Run) -> None:
    wrong = (
        PASSING.replace('amount = "9.9"', 'amount = "9.8"')
        .replace("{ id = 2, amount = 7, document = { amount = 7, id = 2 } }", "{ id = 7, amount = 8 }")
        .replace('error = "not JSON that PostgreSQL accepts"', 'error = "too large"')
        .replace("expect.filtered = 1", "expect.filtered = 0")
    )
    code, printed = run(wrong)
    assert code == 1
    assert 'public.orders: missing {id = "7", amount = "8.00"}' in printed
    assert 'amount is "9.90", not "9.80"' in printed
    assert 'public.orders: unexpected {id = "2", amount = "7.00"' in printed
    assert 'missing: a dead letter of event 4 whose error has "too large"' in printed
    assert "unexpected: a dead letter of event 4: the value is not JSON" in printed
    assert "1 events were filtered, not 0" in printed
    assert printed.splitlines()[-1] == "2 tests, 2 failed"


def test_a_database_that_is_named_keeps_its_rows_and_gets_no_others(
    run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute(SCHEMA.encode())
    password = urlsplit(database_url).password or ""
    monkeypatch.setenv("PGPASSWORD", unquote(password))
    without_password = database_url.replace(f":{password}@", "@")
    code, printed = run(PASSING.replace('schema = "schema.sql"', ""), "--database", without_password, "--json")
    assert code == 0, printed
    assert [each["ok"] for each in json.loads(printed)["tests"]] == [True, True]
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchone() == (0,)
        assert connection.execute("SELECT free FROM stock").fetchone() == (10,)
        left = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'inbox\\_test%'")
        assert left.fetchall() == []


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("given =", "givn =", "test[1].givn: unknown key; did you mean given?"),
        ("{ text =", "{ txt =", "test[0].events[4].txt: unknown key; did you mean text?"),
        ("expect.filtered", "expect.filterd", "test[1].expect.filterd: unknown key; did you mean filtered?"),
        ("[[test]]", "[[tests]]", "tests: unknown key; did you mean test?"),
        ('route = "reserve"', 'route = "reserv"', "test[1].route: no such route; did you mean reserve?"),
        (
            'topic = "orders"',
            'topic = "order"',
            "test[1].events[3].topic: not a topic of the route; did you mean orders?",
        ),
        (
            "amount = 7, document",
            "amout = 7, document",
            "the table public.orders has no column amout; did you mean amount?",
        ),
        ("expect.rows.stock", "expect.rows.stok", "the table stok does not exist; create it"),
        ("amount = 7, document", 'amount = "x", document', "reading the rows that a test expects"),
        ('"schema.sql"', '"nowhere.sql"', "nowhere.sql cannot be read: No such file or directory"),
        ("[[test]]", "[[test]", "is not valid TOML"),
    ],
)
def test_a_mistake_in_the_file_is_named_with_the_way_out(run: Run, old: str, new: str, problem: str) -> None:
    code, printed = run(PASSING.replace(old, new))
    assert code == 3, printed
    assert problem in printed


NULLS = """
schema = "schema.sql"
null = "NULL"

[[test]]
route = "orders"
events = [{ value = { id = 1, amount = "NULL", tags = ["NULL", "a"] } }, { value = { id = 2, amount = 1 } }]
expect.rows."public.orders" = [
    { id = 1, amount = "NULL", document = { id = 1, amount = "NULL", tags = ["NULL", "a"] } },
    { id = 2, amount = "NULL" },
]
"""


def test_a_text_that_the_file_names_stands_for_null(run: Run) -> None:
    """Also within a document, whose null is that of JSON."""
    code, printed = run(NULLS)
    assert code == 1
    assert 'in {id = "2"} amount is "1.00", not NULL' in printed
    code, printed = run(NULLS.replace("id = 2, amount = 1 ", "id = 2 "))
    assert code == 0, printed


ENCODED_ROUTES = """
[[routes]]
name = "{name}"
topic = "{name}"
event_id = "coordinates"
format = "{form}"
{more}
[routes.table]
name = "public.{name}"
mode = "append"
columns_by_name = true
"""
ENCODED = {
    "in_avro": ("avro", 'key_format = "avro"'),
    "in_avro_of_a_file": ("avro", 'schema_file = "{directory}/order.avsc"'),
    "in_protobuf": ("protobuf", ""),
    "in_json_schema": ("json-schema", "validate = true"),
    "in_json_unchecked": ("json-schema", ""),
}
ENCODED_TESTS = """
schema = "schema.sql"
null = "NULL"

[schemas]
in_avro-value = "order.avsc"
in_avro-key = "key.avsc"
in_protobuf-value = "order.desc"
in_json_schema-value = "order.json"
"""
ENCODED_TEST = """
[[test]]
route = "{name}"
events = [
    {{ key = {key}, value = {{ id = 1, price = "9.90", at = 2026-01-01T10:00:00.000005Z, kind = "PAID" }}{more} }},
    {{ base64 = "AA==" }},
]
expect.rows."public.{name}" = [
    {{ id = 1, price = "9.90", at = 2026-01-01T10:00:00.000005Z, kind = "PAID", note = "NULL" }},
]
expect.dead_letters = [{{ event = 1 }}]
"""
AVRO = {
    "type": "record",
    "name": "R",
    "fields": [
        {"name": "id", "type": "long"},
        {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "kind", "type": {"type": "enum", "name": "K", "symbols": ["OPEN", "PAID"]}},
        {"name": "note", "type": ["null", "string"]},
    ],
}


def descriptors() -> bytes:
    file = FileDescriptorProto(name="order.proto", package="shop", syntax="proto3")
    file.dependency.append("google/protobuf/timestamp.proto")
    file.message_type.add(name="Other")
    kind = file.enum_type.add(name="Kind")
    kind.value.add(name="OPEN", number=0)
    kind.value.add(name="PAID", number=1)
    order = file.message_type.add(name="Order")
    order.field.add(name="id", number=1, type=FieldType.TYPE_INT64, label=1)
    order.field.add(name="price", number=2, type=FieldType.TYPE_STRING, label=1)
    order.field.add(name="at", number=3, type=FieldType.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp", label=1)
    order.field.add(name="kind", number=4, type=FieldType.TYPE_ENUM, type_name=".shop.Kind", label=1)
    return FileDescriptorSet(file=[file]).SerializeToString()


def test_the_events_of_routes_with_schemas_are_written_by_the_tool(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The registry of the configuration is not asked."""
    (tmp_path / "order.avsc").write_text(json.dumps(AVRO))
    (tmp_path / "key.avsc").write_text(
        json.dumps({"type": "record", "name": "K", "fields": [{"name": "id", "type": "long"}]})
    )
    (tmp_path / "order.desc").write_bytes(descriptors())
    (tmp_path / "order.json").write_text('{"type": "object", "properties": {"id": {"type": "integer"}}}')
    columns = "id bigint, price numeric, at timestamptz, kind text, note text"
    (tmp_path / "schema.sql").write_text("".join(f"CREATE TABLE {name} ({columns});" for name in ENCODED))
    routes = "".join(
        ENCODED_ROUTES.format(name=name, form=form, more=more.format(directory=tmp_path))
        for name, (form, more) in ENCODED.items()
    )
    config = write_configuration(
        tmp_path / "inbox.toml",
        database_url=database_url,
        bootstrap_servers="127.0.0.1:1",
        routes=routes,
        rest='[registry]\nurl = "http://127.0.0.1:1"',
    )
    tests = [
        ENCODED_TEST.format(
            name=name,
            key="{ id = 1 }",
            more=', message = "shop.Order"' if name == "in_protobuf" else "",
        )
        for name in ENCODED
    ]
    (tmp_path / "tests.toml").write_text(ENCODED_TESTS + "".join(tests))

    code = result_of(["test", str(tmp_path / "tests.toml"), "--config", str(config)])

    assert code == 0, capsys.readouterr()
