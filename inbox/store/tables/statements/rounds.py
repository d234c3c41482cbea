"""Number the events of a batch by the rows that they write, so that no statement writes a row twice."""

from psycopg import sql

from inbox.store.tables.changes.elements import SHIFT
from inbox.store.tables.changes.existing import PLACE
from inbox.store.tables.statements.finished import finished
from inbox.store.tables.statements.rows import BatchRows

_LACKS = sql.Identifier("inbox lacks")


def number_rounds(rows: BatchRows) -> bytes:
    """Return the statement for each event's index, and the number of events of its row up to this one.

    The third column says which columns of `split` the event lacks.
    """
    if rows.target.for_each is not None:
        return _number_elements(rows)
    return number_rows(rows)


def number_rows(rows: BatchRows) -> bytes:
    """Return the statement as `number_rounds` does; with `for_each` for each element and its place."""
    events = sql.SQL("SELECT {}, {} AS {}, e.place AS {} FROM {}").format(
        rows.named(rows.target.key), rows.absences.pattern(), _LACKS, PLACE, rows.events()
    )
    return finished(
        sql.SQL(
            "SELECT {place}, pg_catalog.row_number() OVER (PARTITION BY {keys} ORDER BY {place}), {lacks}"
            " FROM ({rows}) AS r"
        ).format(place=PLACE, keys=rows.keys, rows=events, lacks=_LACKS)
    )


def _number_elements(rows: BatchRows) -> bytes:
    """Return the statement for each event's index, and a number for each row that it writes.

    With `replaces` it is one number: that of the rows which it replaces.
    """
    by_event = bool(rows.target.replaces)
    names = rows.target.replaces or rows.target.key
    index: sql.Composable = sql.SQL("e.place")
    if not by_event:
        index = sql.SQL("e.place OPERATOR(pg_catalog.>>) ") + sql.Literal(SHIFT)
    events = sql.SQL("SELECT {}, {} AS {} FROM {}").format(rows.named(names), index, PLACE, rows.events(whole=by_event))
    statement = sql.SQL("SELECT {}, pg_catalog.dense_rank() OVER (ORDER BY {}), NULL FROM ({}) AS r")
    return finished(statement.format(PLACE, sql.SQL(", ").join(map(sql.Identifier, names)), events))
