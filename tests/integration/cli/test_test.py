"""`inbox test`: events in, rows and dead letters expected, without Kafka."""

import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
import pytest

from inbox import EventError, Transaction
from inbox.cli.program import result_of
from inbox.events import Event
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
