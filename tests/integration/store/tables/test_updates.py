"""The advice on tables whose updates do not stay on their page."""

import pytest

from inbox.store.postgres.connection import Connection
from inbox.store.tables.updates import advice_on_updates
from tests.support.waiting import eventually


def updated(connection: Connection, options: str) -> None:
    """A table of 12,000 rows, each of which was updated once, in order."""
    connection.execute("CREATE TABLE public.rows (id int PRIMARY KEY, n int, pad text) " + options)  # type: ignore[arg-type]
    connection.execute("INSERT INTO public.rows SELECT g, 0, repeat('x', 100) FROM generate_series(1, 12000) AS g")
    connection.execute("UPDATE public.rows SET n = 1")
    count = "SELECT n_tup_upd FROM pg_stat_all_tables WHERE relid = 'public.rows'::regclass"
    eventually(lambda: connection.execute(count).fetchone() == (12000,), what="the statistics")


@pytest.mark.parametrize(("options", "lines"), [("", 1), ("WITH (fillfactor = 45)", 0)])
def test_a_table_without_room_on_its_pages_is_named(connection: Connection, options: str, lines: int) -> None:
    updated(connection, options)
    found = list(advice_on_updates(connection, "public.rows"))
    assert len(found) == lines
    assert all("of 12000 updates of public.rows" in line and "fillfactor = 70" in line for line in found)


def test_a_table_that_is_not_there_or_was_hardly_updated_is_passed_over(connection: Connection) -> None:
    assert list(advice_on_updates(connection, "public.absent")) == []
    connection.execute("CREATE TABLE public.rows (id int)")
    assert list(advice_on_updates(connection, "public.rows")) == []
