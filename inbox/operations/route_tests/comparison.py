"""Compare the rows of a table with those that a test expects. No I/O."""

from collections.abc import Iterator, Mapping, Sequence

Row = Mapping[str, str | None]


def differences(table: str, expected: Sequence[Row], found: Sequence[Row]) -> Iterator[str]:
    """Return a line for each row that is missing or was not expected.

    A row is found if it has the values of the columns that the expected row names. Each row counts once.
    """
    left = list(found)
    missing = [row for row in expected if not _take(row, left)]
    for row in missing:
        near = _nearest(row, left)
        if near is None:
            yield f"{table}: missing {shown(row)}"
        else:
            left.remove(near)
            yield f"{table}: {_changed(row, near)}"
    for row in left:
        yield f"{table}: unexpected {shown(row)}"


def shown(row: Row) -> str:
    """Return a row as text."""
    return "{" + ", ".join(f"{name} = {_value(value)}" for name, value in row.items()) + "}"


def _take(row: Row, left: list[Row]) -> bool:
    for each in left:
        if _differing(row, each) == []:
            left.remove(each)
            return True
    return False


def _differing(expected: Row, found: Row) -> list[str]:
    return [name for name, value in expected.items() if found.get(name) != value]


def _nearest(row: Row, left: Sequence[Row]) -> Row | None:
    """Return the row with the fewest other values, if at least one value is the same."""
    found = min(left, key=lambda each: len(_differing(row, each)), default=None)
    return found if found is not None and len(_differing(row, found)) < len(row) else None


def _changed(expected: Row, found: Row) -> str:
    same = {name: value for name, value in expected.items() if found.get(name) == value}
    others = [
        f"{name} is {_value(found.get(name))}, not {_value(expected[name])}" for name in _differing(expected, found)
    ]
    return f"in {shown(same)} {'; '.join(others)}"


def _value(value: str | None) -> str:
    return "NULL" if value is None else f'"{value}"'
