"""The names of members that fill no column."""

import json
from typing import Any

import pytest

from inbox.store.inbox.unknown_members import kept_names
from inbox.store.options import ColumnSource, TableMode, TableTarget, UnknownMembers
from inbox.store.tables.members.unknown import UnknownNames, known_members
from tests.support.records import record


def target(columns: dict[str, str], **options: Any) -> TableTarget:
    return TableTarget(
        name="rows",
        mode=TableMode.APPEND,
        columns={name: ColumnSource(source) for name, source in columns.items()},
        **{"unknown_members": UnknownMembers.COUNT, **options},
    )


def names(value: Any, columns: dict[str, str], **options: Any) -> set[str]:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return set(UnknownNames(target(columns, **options)).of(record(value=data)))


def test_a_column_from_a_part_of_a_member_makes_the_member_known() -> None:
    columns = {"a": "/customer/name", "b": "/with~1slash", "k": "$key:/other", "t": "$timestamp"}

    assert known_members(target(columns, skipped=frozenset({"s"}))) == {"customer", "with/slash", "s"}


@pytest.mark.parametrize("source", ["$value", "$value as JSON"])
def test_a_column_of_the_whole_value_makes_every_member_known(source: str) -> None:
    assert known_members(target({"a": "/a", "all": source})) is None
    assert names({"b": 1}, {"all": source}) == {"b"}
    assert not UnknownNames(target({"all": source})).counts


@pytest.mark.parametrize("value", [b"[1]", b"1", b"not JSON", b"\xff", b"", {"a": 1}, {}])
def test_what_is_no_object_has_no_unknown_member(value: Any) -> None:
    assert names(value, {"a": "/a"}) == set()


@pytest.mark.parametrize("number", ["1e999", "123456789012345678901234567890", "1" * 400])
def test_hard_numbers_hide_no_member(number: str) -> None:
    assert names(f'{{"a": 1, "b": {number}}}'.encode(), {"a": "/a"}) == {"b"}


def test_elements_are_the_rows_of_an_array() -> None:
    value = {"other": 1, "at": {"lines": [{"a": 1, "x": 1}, {"y": 2}, 3]}}

    assert names(value, {"a": "/a", "o": "$event:/other"}, for_each="/at/lines") == {"x", "y"}
    assert names({"at": {"lines": json.dumps([{"z": 1}])}}, {"a": "/a"}, for_each="/at/lines") == {"z"}
    assert names({"at": 1}, {"a": "/a"}, for_each="/at/lines") == set()


def test_counts_are_by_partition_and_have_printable_names() -> None:
    found = UnknownNames(target({"a": "/a"}))
    values = [{"a": 1}, {"b": 1, "c": 1}, {"b": 1, "": 1, "x\x1b" + "y" * 200: 1}]
    records = [record(value=json.dumps(value).encode()) for value in values]

    counted = found.counted(records, [1, 1, 2])

    long = "x\\x1b" + "y" * 95
    assert counted == {(1, "b"): 1, (1, "c"): 1, (2, "b"): 1, (2, '""'): 1, (2, long): 1}


def test_names_beyond_those_of_a_batch_count_together() -> None:
    records = [record(value=json.dumps({f"m{n}": 1}).encode()) for n in range(1500)]

    counted = UnknownNames(target({"a": "/a"})).counted(records, [1] * 1500)

    assert (len(counted), counted[1, ""]) == (1001, 500)


def test_a_route_keeps_its_first_names() -> None:
    assert kept_names({"b", "c", "a"}, set(), most=2) == {"a", "b"}
    assert kept_names({"b", "c", "a", ""}, {"c", "x", ""}, most=3) == {"c", "a"}
    assert kept_names({"n"}, {"a", "b", "c"}, most=2) == set()
