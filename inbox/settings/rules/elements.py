"""The rules on `for_each` and `replaces`: one row for each element of an array."""

from collections.abc import Iterator

from inbox.settings.document import TableSection
from inbox.settings.problems import Path, quote
from inbox.settings.validation import Review
from inbox.store.options import INDEX, TableMode


def review_elements(review: Review, path: Path, table: TableSection, unfit: str | None) -> None:
    """Note what cannot work with `for_each`, or without it; `unfit`: why the route's values have no elements."""
    if table.for_each is not None and unfit is not None:
        review.blame((*path, "for_each"), unfit)
    if any(review.is_broken((*path, key)) for key in ("mode", "key", "for_each", "replaces", "tombstones")):
        return
    problems = _with_elements(table) if table.for_each is not None else _without_elements(table)
    for key, problem in problems:
        review.blame((*path, *key), problem)


def _without_elements(table: TableSection) -> Iterator[tuple[tuple[str, ...], str]]:
    if table.replaces is not None:
        yield ("replaces",), 'has an effect only with for_each = "/pointer"; add that, or leave it out'
    for name, column in (table.columns or {}).items():
        source = column.from_ or ""
        if source == INDEX or source.startswith("$event:"):
            yield ("columns", name), f"{source} is there only with for_each; expected a pointer into the value"


_NEVER_REPLACES = {
    TableMode.APPEND: "has no key by which a row is found again",
    TableMode.NEWEST: "keeps newer rows, which an older event that comes late would delete",
}


def _with_elements(table: TableSection) -> Iterator[tuple[tuple[str, ...], str]]:
    if table.tombstones.removes and not table.replaces:
        yield ("tombstones",), "with for_each a tombstone names no row; name the columns that it has in replaces"
    if table.replaces is not None:
        yield from _replacing(table, table.replaces)


def _replacing(table: TableSection, replaces: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    if not replaces:
        yield ("replaces",), "is empty; expected columns of the key that the rows of an event share"
    if table.mode is not None and (why := _NEVER_REPLACES.get(table.mode)) is not None:
        yield ("replaces",), f'mode "{table.mode.value}" {why}; expected mode upsert, or leave replaces out'
    for name in replaces:
        column = (table.columns or {}).get(name)
        by_name = column is None and table.columns_by_name
        source = f"/{name}" if by_name else (column.from_ if column else None) or ""
        if name not in (table.key or ()):
            yield ("replaces",), f"{quote(name)} is not in the key, so that another event may have the same row"
        elif source.startswith("/") or source == INDEX:
            yield (
                ("replaces",),
                f"{quote(name)} is read from each element, and an empty array has none; read it from the whole event: "
                f'"$event:{source if source.startswith("/") else "/" + name}"',
            )
