"""A refusal of a value names the column, the pointer and the kind, and what to do; it never shows the value."""

from decimal import Decimal
from typing import Any

import pytest

from inbox.errors import InboxError
from inbox.events import Record
from inbox.reading.read_record import ReadRecord
from inbox.reading.values import DAY, Date, Interval, Json, TimeOfDay, Timestamp
from inbox.store.postgres.connection import Connection
from tests.support.records import record
from tests.support.store.table_routes import MakeRoute, Route, events_of, of

SECRET = "hunter2"
YEAR = 366 * DAY

TEXTS: dict[str, list[str]] = {
    "smallint": [SECRET, "9" * 40],
    "numeric(4,2)": [SECRET, "12345"],
    "varchar(3)": [SECRET],
    "boolean": [SECRET],
    "uuid": [SECRET],
    "date": [SECRET, "5874898-01-01", "4714-01-01 BC"],
    "time": [SECRET, "25:00"],
    "timestamp": [SECRET, "999999-01-01T00:00:00Z"],
    "timestamptz": [SECRET, "999999-01-01T00:00:00Z"],
    "interval": [SECRET, "99999999999999999999 years"],
    "inet": [SECRET],
    "bit(3)": [SECRET],
    "point": [SECRET],
    "int4range": [SECRET],
    "jsonpath": [f"{SECRET}!&|"],
    "tsquery": [f"{SECRET}!&|"],
    "tsvector": [f"{SECRET}:x"],
    "regclass": [SECRET, f"{SECRET}.{SECRET}"],
    "hstore": [SECRET, f'{SECRET}=>"'],
    "ltree": [f"({SECRET}"],
    "integer[]": ["{" + SECRET],
    "hstore[]": ["{" + SECRET],
}
"""Texts that their types refuse; some with the SQLSTATE of a missing object, or of a broken server."""

TYPED: dict[str, list[Any]] = {
    "integer": [2**63, 2**200, True, SECRET, Decimal("1.5"), b"x"],
    "real": [1e300, Decimal("1e400")],
    "numeric(4,2)": [Decimal(12345), 10**40],
    "text": [f"{SECRET}\x00", f"{SECRET}\ud800", b"x", {"a": f"{SECRET}\x00"}],
    "varchar(3)": [SECRET],
    "bytea": [SECRET],
    "jsonb": [f"{SECRET}\x00", Json("{"), Decimal("1e5000"), {f"{SECRET}\ud800": 1}],
    "date": [Date(10**10), Date(-(10**10)), Date(10**20), 5, "20260101x"],
    "timestamptz": [Timestamp(10**4 * 365 * DAY * 1000), Timestamp(-5000 * YEAR * 2), Timestamp(10**30), 5],
    "timestamp": [Timestamp(-(10**30)), Date(10**10)],
    "time": [5, SECRET, TimeOfDay(2 * DAY)],
    "interval": [Interval(2**40), Interval(0, 0, 2**90)],
    "bit(3)": ["102", 5],
    "point": [{"x": 1.0}, SECRET],
    "hstore": [SECRET, {"a": {"b": 1}}, Json("[1]"), Json("{")],
    "jsonpath": [f"{SECRET}!&|"],
    "date[]": [[Date(10**10)], SECRET],
    "text[]": [[f"{SECRET}\x00"], 5],
    "integer[]": [[[1], [2, 3]], [SECRET], {"a": 1}],
}


@pytest.fixture(name="extensions")
def extensions_(connection: Connection) -> None:
    """The extensions whose types refuse texts with a SQLSTATE of another class."""
    connection.execute("CREATE EXTENSION hstore; CREATE EXTENSION ltree")


def explained(it: Route, one: Record) -> str:
    with pytest.raises(InboxError) as failed:
        it.write(one)
    return str(it.writer.explain(it.connection, events_of(one), failed.value))


def assert_helpful(text: str) -> None:
    assert text.startswith('column "it" from /v/it: '), text
    assert "; " in text, text
    assert SECRET not in text


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize("declared", TEXTS)
def test_a_refused_text_is_explained(route: MakeRoute, declared: str) -> None:
    it = route(f"it {declared}", {"it": "/v/it"})
    for text in TEXTS[declared]:
        assert_helpful(explained(it, of({"v": {"it": text}})))


@pytest.mark.usefixtures("extensions")
@pytest.mark.parametrize("declared", TYPED)
def test_a_refused_value_of_a_schema_is_explained(route: MakeRoute, declared: str) -> None:
    it = route(f"it {declared}", {"it": "/v/it"}, decoded=True)
    for value in TYPED[declared]:
        assert_helpful(explained(it, ReadRecord(record(), row={"v": {"it": value}})))


@pytest.mark.usefixtures("extensions")
def test_a_text_whose_refusal_looks_like_a_broken_server_is_found_in_its_batch(route: MakeRoute) -> None:
    it = route("it hstore", {"it": "/v/it"})
    batch = [of({"v": {"it": SECRET if number in (3, 7) else "a=>b"}}) for number in range(20)]
    found = it.writer.find(it.connection, events_of(*batch))
    assert (found.candidates, found.refused) == ([3, 7], {})


def test_the_server_is_not_asked_about_each_event_where_all_fail_in_a_way_that_is_not_theirs(route: MakeRoute) -> None:
    it = route("it jsonpath", {"it": "/v/it"})
    found = it.writer.find(it.connection, events_of(*[of({"v": {"it": f"{SECRET}!&|"}})] * 20))
    assert found.candidates == [0, 1, 2, 3, 4]
