"""Table modes from Kafka to the table, with the fast path and without."""

from collections.abc import Callable

import pytest

from tests.support.sink.running import Out, Sink

ROUTE = """
[[routes]]
name = "table"
topic = "TOPIC"
[routes.table]
name = "public.rows"
mode = "{mode}"
key = ["id"]
{more}
[routes.table.columns]
id = "/id"
a = "/a"
b = "/b"
"""

ELEMENTS = """
[[routes]]
name = "table"
topic = "TOPIC"
[routes.table]
name = "public.rows"
mode = "upsert"
key = ["number", "line"]
for_each = "/lines"
replaces = ["number"]
[routes.table.columns]
number = "$event:/id"
line = "/line"
"""

Table = Callable[..., Sink]


@pytest.fixture(name="table")
def table_(sink: Sink) -> Table:
    """A sink with one route into the table `rows (id, a, b, gone)`; `b` has a default."""

    def make(mode: str, more: str = "") -> Sink:
        sink.sql("CREATE TABLE rows (id int PRIMARY KEY, a int, b int DEFAULT 7, gone timestamptz)")
        sink.configure(ROUTE.format(mode=mode, more=more))
        return sink

    return make


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "in batches"])
def test_partial_events_are_merged(table: Table, at_once: bool) -> None:
    sink = table("merge")
    for number in range(20):
        sink.send(Out(3 * number, {"id": number, "a": number}))
        sink.send(Out(3 * number + 1, {"id": number % 5, "b": None}))
        sink.send(Out(3 * number + 2, {"id": number % 5, "a": 100 + number}))
        if not at_once:
            sink.run()
    sink.run()

    merged = [(number, 115 + number, None) for number in range(5)] + [(number, number, 7) for number in range(5, 20)]
    assert sink.sql("SELECT id, a, b FROM rows ORDER BY id") == merged
    assert sink.endings() == {"applied": 60}


def test_a_merge_that_the_table_refuses_is_parked_alone(table: Table) -> None:
    sink = table("merge")
    sink.sql("ALTER TABLE rows ALTER a SET NOT NULL")
    sink.send(*(Out(number, {"id": number, "a": 1}) for number in range(10)), Out(10, {"id": 10, "b": 1}))
    sink.send(*(Out(11 + number, {"id": number, "b": 2}) for number in range(10)), Out(21, {"id": 3, "a": None}))
    sink.run()

    assert sink.sql("SELECT id, a, b FROM rows ORDER BY id") == [(number, 1, 2) for number in range(10)]
    assert sink.dead_letters() == [(10, "parked"), (21, "parked")]


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "in batches"])
def test_a_row_is_marked_and_written_again(table: Table, at_once: bool) -> None:
    sink = table("upsert", 'tombstones = "mark"\ndeleted = "gone"')
    sink.send(*(Out(number, {"id": number, "a": 1}, key=str(number)) for number in range(4)))
    if not at_once:
        sink.run()
    sink.send(Out(4, None, key="1"), Out(5, None, key="2"), Out(6, {"id": 2, "a": 2}, key="2"), Out(7, None, key="9"))
    sink.run()

    assert sink.sql("SELECT id, a, gone IS NULL FROM rows ORDER BY id") == [
        (0, 1, True),
        (1, 1, False),
        (2, 2, True),
        (3, 1, True),
    ]
    assert sink.endings() == {"applied": 8}


@pytest.mark.parametrize("at_once", [True, False], ids=["in one batch", "in batches"])
def test_elements_are_rows_and_replace_those_of_their_event(sink: Sink, at_once: bool) -> None:
    sink.sql("CREATE TABLE rows (number int, line int, PRIMARY KEY (number, line))")
    sink.configure(ELEMENTS)
    for number in range(20):
        sink.send(Out(2 * number, {"id": number % 10, "lines": [{"line": line} for line in range(number % 4)]}))
        if not at_once:
            sink.run()
    sink.send(Out(100, {"id": 3, "lines": [{"line": 1}, {"line": None}]}))
    sink.run()

    lines = [(number - 10, line) for number in range(10, 20) for line in range(number % 4)]
    assert sorted(sink.sql("SELECT number, line FROM rows")) == lines
    assert sink.endings() == {"applied": 20, "dead_lettered": 1}
