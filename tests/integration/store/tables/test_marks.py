"""Soft deletes where a version decides: a tombstone has one only if it is the record's."""

from collections.abc import Callable

import pytest

from inbox.store.options import TableMode, Tombstones
from inbox.store.postgres.connection import Connection
from tests.support.records import record
from tests.support.store.table_routes import Route, of

Make = Callable[[str], Route]


@pytest.fixture(name="marking")
def marking_(connection: Connection) -> Make:
    """Makes a route in mode `newest` that marks, with the given source of the version."""

    def make(version: str) -> Route:
        connection.execute(b"CREATE TABLE t (id int PRIMARY KEY, version bigint, gone boolean NOT NULL DEFAULT false)")
        return Route(
            connection,
            {"id": "/id", "version": version},
            mode=TableMode.NEWEST,
            key=("id",),
            version="version",
            tombstones=Tombstones.MARK,
            deleted="gone",
        )

    return make


def test_an_older_event_does_not_bring_a_row_back(marking: Make) -> None:
    route = marking("/version")

    route.write(of({"id": 1, "version": 5}), record(1, key=b"1", value=None), of({"id": 1, "version": 4}))
    assert route.rows() == [(1, 5, True)]

    route.write(of({"id": 1, "version": 5}))
    assert route.rows() == [(1, 5, True)]

    route.write(of({"id": 1, "version": 6}))
    assert route.rows() == [(1, 6, False)]


def test_a_tombstone_with_a_version_passes_over_a_newer_row_and_leaves_its_own(marking: Make) -> None:
    route = marking("$offset")

    route.write(of({"id": 1}, offset=5), record(4, key=b"1", value=None))
    assert route.rows() == [(1, 5, False)]

    route.write(record(7, key=b"1", value=None))
    route.write(of({"id": 1}, offset=6))
    assert route.rows() == [(1, 7, True)]

    route.write(of({"id": 1}, offset=8))
    assert route.rows() == [(1, 8, False)]
