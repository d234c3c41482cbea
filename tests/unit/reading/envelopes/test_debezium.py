"""Debezium's change events: which row they write or remove, and what is refused."""

import json
from typing import Any

import pytest

from inbox.errors import EventError
from inbox.reading.envelopes.debezium import UNAVAILABLE, change_of, unavailable_in
from inbox.reading.options import Truncates

OLD, NEW = {"id": 1, "name": "old"}, {"id": 1, "name": "new"}
ERROR = Truncates.ERROR


def change(op: str, **members: Any) -> dict[str, Any]:
    return {"before": None, "after": None, "source": {"connector": "postgresql"}, "op": op, "ts_ms": 1, **members}


@pytest.mark.parametrize("op", ["c", "r", "u"])
def test_a_create_a_read_and_an_update_write_after(op: str) -> None:
    found = change_of(change(op, before=OLD, after=NEW), ERROR)
    assert found is not None
    assert (found.op, found.member, found.row) == (op, "after", NEW)


def test_a_delete_is_of_the_row_before() -> None:
    found = change_of(change("d", before=OLD), ERROR)
    assert found is not None
    assert (found.op, found.member, found.row) == ("d", "before", OLD)


def test_a_delete_without_a_row_before_goes_by_the_key_alone() -> None:
    found = change_of(change("d"), ERROR)
    assert found is not None
    assert (found.op, found.member, found.row) == ("d", None, None)


def test_a_logical_message_writes_nothing() -> None:
    assert change_of({"op": "m", "message": {"prefix": "p"}, "source": {}}, ERROR) is None


def test_a_truncate_follows_the_setting() -> None:
    assert change_of(change("t"), Truncates.IGNORE) is None
    found = change_of(change("t"), Truncates.APPLY)
    assert found is not None
    assert (found.op, found.member) == ("t", None)
    with pytest.raises(EventError, match="set truncates to apply or ignore"):
        change_of(change("t"), Truncates.ERROR)


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ([1], "not an object; expected a Debezium change event"),
        ({"id": 1}, 'has no "op"; expected .* ExtractNewRecordState'),
        (change("x"), 'unknown "op"; expected c, r, u, d, t or m'),
        ({**change("c"), "op": 7}, 'unknown "op"'),
        (change("c"), 'operation "c" has no object "after"'),
        (change("u", after=[1]), 'operation "u" has no object "after"'),
        (change("d", before="x"), 'operation "d" has no object "before"'),
        ({"schema": {}, "payload": change("c", after=NEW)}, 'set format = "connect-json" .*schemas.enable=false'),
    ],
)
def test_a_document_that_is_no_change_event_is_refused_with_what_was_expected(document: Any, text: str) -> None:
    with pytest.raises(EventError, match=text):
        change_of(document, ERROR)


@pytest.mark.parametrize("op", ["u", "c"])
def test_the_values_that_the_connector_could_not_read_are_found_in_each_shape(op: str) -> None:
    row = {
        "text": UNAVAILABLE,
        "bytea": "X19kZWJleml1bV91bmF2YWlsYWJsZV92YWx1ZQ==",
        "texts": [UNAVAILABLE],
        "numbers": list(UNAVAILABLE.encode()),
        "uuids": ["b68a35a7-17ad-35b3-af2a-ae46edb4545a"],
        "hstore": {UNAVAILABLE: UNAVAILABLE},
        "hstore as json": json.dumps({UNAVAILABLE: UNAVAILABLE}, separators=(",", ":")),
        "id": 1,
        "name": "x",
        "none": None,
        "two": [UNAVAILABLE, UNAVAILABLE],
        "mention": f"the {UNAVAILABLE}",
    }
    expected = ("text", "bytea", "texts", "numbers", "uuids", "hstore", "hstore as json")
    assert unavailable_in(row) == expected
    found = change_of(change(op, after=row), ERROR)
    assert found is not None
    assert found.absent == expected
