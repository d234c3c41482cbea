"""The rules within one column of a table route."""

from inbox.settings.document import ColumnSection, TableSection
from inbox.settings.problems import Path
from inbox.settings.validation import Review
from inbox.store.options import Absent, Reading, TableMode

_OF_ITS_OWN_KIND = frozenset({"$topic", "$partition", "$offset", "$timestamp", "$event_id", "$type", "$op", "$ts"})
"""The sources that are read in one way alone."""


def review_column(review: Review, path: Path, column: ColumnSection, *, by_name: bool) -> None:
    """Note which keys of a column exclude or need each other."""
    if column.skip:
        _review_skip(review, path, column, by_name=by_name)
        return
    if column.value is not None:
        _review_constant(review, path, column)
        return
    if column.from_ is None:
        review.blame(path, 'has neither from nor value; expected a source such as { from = "/amount" }, or a constant')
        return
    _review_reading(review, path, column)
    _review_absent(review, path, column)
    if column.required and column.default is not None:
        review.blame((*path, "required"), "there is a default, so that a value is never missing; keep one of the two")


def _review_skip(review: Review, path: Path, column: ColumnSection, *, by_name: bool) -> None:
    if not by_name:
        review.blame(
            (*path, "skip"), "only columns_by_name fills a column that is not listed; leave the column out instead"
        )
    if column.model_fields_set != {"skip"}:
        review.blame((*path, "skip"), "leaves the column to the database; keep it alone, or leave it out")


def _review_constant(review: Review, path: Path, column: ColumnSection) -> None:
    for key in ("from", "as", "scale", "default", "required", "absent"):
        if ("from_" if key == "from" else "as_" if key == "as" else key) in column.model_fields_set:
            review.blame((*path, key), "value is there too, which makes the column a constant; keep one of the two")


def _review_absent(review: Review, path: Path, column: ColumnSection) -> None:
    if column.absent is not Absent.DEFAULT:
        return
    where = (*path, "absent")
    if not (column.from_ or "").startswith("/"):
        review.blame(where, "only a member of the value or the row can be absent; expected from = a JSON pointer")
    if column.default is not None:
        review.blame(where, "there is a default for absent members too; keep one of the two")
    if column.required:
        review.blame(where, "the column is required, so that its member is never absent; keep one of the two")


_NEVER_LEFT = {
    TableMode.MERGE: "leaves the column of every absent member as it is; leave absent out",
    TableMode.NEWEST: "writes whole rows, so that a row is that of one version; expected another mode, or a default",
}


def review_left(review: Review, path: Path, table: TableSection) -> None:
    """Note each column that is left to the table where the mode or the key cannot do so."""
    for name, column in (table.columns or {}).items():
        where = (*path, "columns", name, "absent")
        if column.absent is not Absent.DEFAULT or table.mode is None or review.is_broken_within((*path, "columns")):
            continue
        if (why := _NEVER_LEFT.get(table.mode)) is not None:
            review.blame(where, f'mode "{table.mode}" {why}')
        elif name in (table.key or ()):
            review.blame(where, "the column is in the key, by which an event's row is found; leave absent out")


def _review_reading(review: Review, path: Path, column: ColumnSection) -> None:
    if column.as_ is not None and column.from_ in _OF_ITS_OWN_KIND:
        review.blame((*path, "as"), f"{column.from_} has a type and a unit of its own; leave as out")
    if column.as_ is Reading.DECIMAL_BYTES and column.scale is None and not review.is_broken((*path, "scale")):
        review.blame((*path, "scale"), "missing; decimal-bytes are digits alone, so say how many are behind the point")
    if column.as_ is not Reading.DECIMAL_BYTES and column.scale is not None:
        review.blame((*path, "scale"), 'only as = "decimal-bytes" has a scale; leave it out')
