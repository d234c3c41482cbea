"""The rules within one route: keys that need, exclude or name each other."""

from inbox.errors import StartupError
from inbox.reading.conditions import Condition
from inbox.reading.options import Format
from inbox.settings.document import RouteSection, TableSection
from inbox.settings.problems import Path, hint, quote
from inbox.settings.rules.columns import review_column, review_left
from inbox.settings.rules.elements import review_elements
from inbox.settings.validation import Review
from inbox.store.options import TableMode, Tombstones

_KEYED = frozenset({TableMode.INSERT, TableMode.UPSERT, TableMode.NEWEST, TableMode.MERGE, TableMode.UPDATE})


def review_route(review: Review, path: Path, route: RouteSection) -> None:
    """Note what is wrong with a route as a whole."""
    _review_topics(review, path, route)
    _review_target(review, path, route)
    if route.types == []:
        review.blame((*path, "types"), "is empty; leave it out to take every type")
    _review_condition(review, path, route)
    if route.table is not None:
        _review_table(review, (*path, "table"), route.table)
        review_elements(review, (*path, "table"), route.table, _without_elements(route))


def _without_elements(route: RouteSection) -> str | None:
    """Return the reason why `for_each` cannot read the route's values."""
    if route.format is Format.RAW:
        return 'looks into the value, which format "raw" leaves undecoded; leave for_each out'
    return None


def _review_condition(review: Review, path: Path, route: RouteSection) -> None:
    if route.when is None:
        return
    try:
        Condition(route.when)
    except StartupError as error:
        review.blame((*path, "when"), str(error))


def _review_topics(review: Review, path: Path, route: RouteSection) -> None:
    if route.topic is not None and route.topics is not None:
        review.blame((*path, "topics"), "both topic and topics are there; keep one")
    elif route.topics == []:
        review.blame((*path, "topics"), "is empty; expected at least one topic")
    elif route.topic is None and route.topics is None and not _any_broken(review, path, "topic", "topics"):
        review.blame((*path, "topic"), "missing; expected topic or topics")
    if route.topics and (twice := _first_repeated(route.topics)):
        review.blame((*path, "topics"), f"{quote(twice)} is there twice")


def _review_target(review: Review, path: Path, route: RouteSection) -> None:
    if route.handler is not None and route.table is not None:
        review.blame((*path, "handler"), "both handler and table are there; make two routes of them")
    elif route.handler is None and route.table is None and not _any_broken(review, path, "handler", "table"):
        review.blame(path, "has neither handler nor table; expected one of them")


def _review_table(review: Review, path: Path, table: TableSection) -> None:
    columns = {} if table.columns_by_name else table.columns
    for key, value in {"name": table.name, "mode": table.mode, "columns": columns}.items():
        if value is None and not review.is_broken((*path, key)):
            review.blame((*path, key), "missing" + (f"; expected {_modes()}" if key == "mode" else ""))
    if table.columns == {} and not table.columns_by_name and not review.is_broken_within((*path, "columns")):
        review.blame((*path, "columns"), "is empty; expected at least one column")
    for name, column in (table.columns or {}).items():
        if not review.is_broken_within((*path, "columns", name)):
            review_column(review, (*path, "columns", name), column, by_name=table.columns_by_name)
    if table.mode is not None:
        _review_key(review, path, table, table.mode)
        if table.mode is TableMode.NEWEST:  # other modes ignore it, so it may stay
            _review_version(review, path, table)
        _review_tombstones(review, path, table.mode, table.tombstones)
        _review_update(review, path, table)
        review_left(review, path, table)
    _review_deleted(review, path, table)


def _review_key(review: Review, path: Path, table: TableSection, mode: TableMode) -> None:
    where = (*path, "key")
    if review.is_broken(where):
        return
    if mode in _KEYED and not table.key:
        review.blame(where, f'missing; mode "{mode}" finds a row by its key, so name the columns of a unique index')
    if mode not in _KEYED and table.key is not None:
        review.blame(where, f'mode "{mode}" adds a row for each event and takes no key; leave it out')
    if table.key and (twice := _first_repeated(table.key)):
        review.blame(where, f"{quote(twice)} is there twice")
    for column in dict.fromkeys(table.key or ()):
        _review_column(review, path, where, table, column)


def _review_version(review: Review, path: Path, table: TableSection) -> None:
    where = (*path, "version")
    if review.is_broken(where):
        return
    if table.version is None:
        review.blame(where, 'missing; mode "newest" decides by this column which of two events is newer')
        return
    if table.version in (table.key or ()):
        review.blame(where, f"{quote(table.version)} is in the key too, so no two events would meet in one row")
    _review_column(review, path, where, table, table.version)


def _review_tombstones(review: Review, path: Path, mode: TableMode, tombstones: Tombstones) -> None:
    where = (*path, "tombstones")
    if not tombstones.removes:
        return
    if mode is TableMode.APPEND:
        review.blame(where, 'mode "append" has no key to delete by; expected ignore or error')
    if mode is TableMode.NEWEST and tombstones is Tombstones.DELETE:
        review.blame(
            where,
            'mode "newest" cannot delete: the version must outlive the row, or an older event that comes late '
            "brings it back; expected mark, ignore or error",
        )


def _review_update(review: Review, path: Path, table: TableSection) -> None:
    if table.mode is not TableMode.UPDATE or not table.columns or not table.key:
        return
    if set(table.columns) <= set(table.key):
        review.blame((*path, "columns"), 'mode "update" changes the columns outside the key; add one of them')


def _review_deleted(review: Review, path: Path, table: TableSection) -> None:
    where = (*path, "deleted")
    if review.is_broken(where) or review.is_broken((*path, "tombstones")):
        return
    if table.tombstones is Tombstones.MARK and table.deleted is None:
        review.blame(where, 'missing; tombstones = "mark" says in this column when, or that, a row was deleted')
    if table.deleted is None:
        return
    if table.tombstones is not Tombstones.MARK:
        review.blame(where, 'has an effect only with tombstones = "mark"; add that, or leave it out')
    if table.deleted in (table.columns or {}):
        review.blame(where, f"{quote(table.deleted)} is written by the sink alone; leave it out of the columns")


def _review_column(review: Review, path: Path, where: Path, table: TableSection, column: str) -> None:
    columns = (*path, "columns")
    if review.is_broken((*columns, column)):
        return
    found = (table.columns or {}).get(column)
    if found is not None and found.skip:
        review.blame(where, f"{quote(column)} is skipped under columns; leave skip out there")
    if table.columns is None or found is not None or table.columns_by_name:
        return
    review.blame(where, f"{quote(column)} is not one of the columns{hint(column, table.columns)}")


def _any_broken(review: Review, path: Path, *keys: str) -> bool:
    return any(review.is_broken((*path, key)) for key in keys)


def _first_repeated(names: list[str]) -> str | None:
    return next((name for index, name in enumerate(names) if name in names[:index]), None)


def _modes() -> str:
    return ", ".join(mode.value for mode in TableMode)
