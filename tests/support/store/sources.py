"""The sources of a table route's columns, in a test's short form."""

from collections.abc import Mapping

from inbox.store.options import ColumnSource


def sources(columns: Mapping[str, str | ColumnSource]) -> dict[str, ColumnSource]:
    """Return the sources by column; a text is a pointer or a variable that is read as it is."""
    return {name: ColumnSource(each) if isinstance(each, str) else each for name, each in columns.items()}
