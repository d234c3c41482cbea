"""Keep the JSON that goes to the server with a route's events within the bounds of `inbox.document_bounds`."""

from collections.abc import Sequence

from inbox.document_bounds import any_may_exceed, excess
from inbox.errors import EventError
from inbox.store.options import ColumnSource
from inbox.store.tables.columns import Column
from inbox.store.tables.parameters import TableEvents, document_of, input_of


def require_bounded(values: Sequence[bytes | None], what: str = "the value is not valid JSON") -> None:
    """Raise EventError where one of the documents exceeds a bound."""
    documents = list(filter(None, values))
    if not any_may_exceed(documents):
        return
    for document in documents:
        if (beyond := excess(document)) is not None:
            raise EventError(f"{what}: {beyond}")


def is_value_as_json(column: Column, source: ColumnSource) -> bool:
    """Return whether the column is of a JSON type and takes the whole value."""
    return source.source == "$value" and column.base.name in ("json", "jsonb")


class JsonInputs:
    """The keys and headers from which columns of a JSON type are built."""

    def __init__(self, sources: Sequence[tuple[Column, ColumnSource]]) -> None:
        self._inputs = [
            (f'column "{column.name}" from {source}', found)
            for column, source in sources
            if column.base.name in ("json", "jsonb") and source.source != "$value"
            if (found := input_of(column, source)) is not None
        ]
        keys = (document_of(source) for _, source in sources)
        self._inputs += [("the key is not JSON", found) for found in keys if found is not None][:1]

    def require_bounded(self, events: TableEvents) -> None:
        """Raise EventError where one of the keys or headers exceeds a bound."""
        for what, each in self._inputs:
            require_bounded(each.values(events), what)

    def refused(self, events: TableEvents) -> dict[int, EventError]:
        """Return the errors of the events in which a key or header exceeds a bound, by index."""
        found: dict[int, EventError] = {}
        for what, each in self._inputs:
            for index, value in enumerate(each.values(events)):
                if value and (beyond := excess(value)) is not None:
                    found.setdefault(index, EventError(f"{what}: {beyond}"))
        return found
