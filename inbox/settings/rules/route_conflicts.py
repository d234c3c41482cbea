"""The rules on options of a route that undo each other: the sink would start, and never do what one
of them says."""

from inbox.settings.document import RouteSection, TableSection
from inbox.settings.problems import Path, quote
from inbox.settings.validation import Review
from inbox.store.options import TableMode, Tombstones

_OF_THE_RECORD_ALONE = frozenset({"$offset", "$timestamp", "$event_id", "$value", "$op", "$ts"})
"""The variables that a tombstone does not share with the event that wrote its row."""

_OF_THE_RECORD_KEY = frozenset({"$key", "$topic", "$partition"})

_OVERWRITING = frozenset({TableMode.UPSERT, TableMode.NEWEST, TableMode.MERGE, TableMode.UPDATE})


def review_conflicts(review: Review, path: Path, route: RouteSection) -> None:
    """Note each option that another option of the route leaves without effect."""
    if route.table is None:
        return
    if not review.is_broken((*path, "table", "tombstones")):
        _review_types(review, path, route, route.table)
        if route.tombstones.removes:
            _review_deletes(review, path, route, route.table)
    if not review.is_broken_within(path):
        _review_one_event_per_row(review, path, route, route.table)


def _review_types(review: Review, path: Path, route: RouteSection, table: TableSection) -> None:
    # `error` counts only if it was configured: the default does not promise to see the tombstones of other types.
    promised = table.tombstones is not Tombstones.IGNORE and "tombstones" in table.model_fields_set
    if not route.types or not promised or route.event_type is None or not route.event_type.startswith("value:"):
        return
    review.blame(
        (*path, "table", "tombstones"),
        f"a tombstone has no value, so it has no type at {route.event_type.removeprefix('value:')} either, and types "
        f"would filter it before {quote(table.tombstones.value)} is done; read the type from a header "
        '(event_type = "header:NAME"), leave out types, or set tombstones = "ignore"',
    )


def _review_deletes(review: Review, path: Path, route: RouteSection, table: TableSection) -> None:
    where = (*path, "table", "tombstones")
    for column in table.key or ():
        source = _source(table, column)
        if source in _OF_THE_RECORD_ALONE:
            review.blame(
                where,
                f"the key has the column {quote(column)} from {source}, which a tombstone never has in common with the "
                "event that wrote its row, so nothing would be deleted; expected ignore or error, or another key",
            )
    if route.event_id == "key":
        review.blame(
            where,
            'with event_id = "key" a tombstone has the id of the event that wrote its row, so it would be taken for '
            "that event again, and nothing would be deleted; take the id from a header, or set "
            'event_id = "coordinates"',
        )


def _source(table: TableSection, column: str) -> str | None:
    found = (table.columns or {}).get(column)
    return found.from_ if found else None


def _review_one_event_per_row(review: Review, path: Path, route: RouteSection, table: TableSection) -> None:
    if route.event_id != "key" or table.mode is None or table.mode not in _OVERWRITING:
        return
    sources = {_source(table, column) for column in table.key or ()}
    if sources and sources <= _OF_THE_RECORD_KEY:
        review.blame(
            (*path, "event_id"),
            "\"key\" makes the record's key the event's id, so a key has one event, ever; the table's key is the "
            f'record\'s key too, so mode "{table.mode.value}" would never overwrite a row, and later events would be '
            'dead letters; take the id from a header or the value, or set event_id = "coordinates"',
        )
