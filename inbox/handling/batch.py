"""The events that a batch handler is given: a sequence of them, and columns of what they say."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, overload
from uuid import UUID

from inbox.errors import EventError
from inbox.events import Event, Record

EventOf = Callable[[Record, bytes, str | None], Event]
JsonOf = Callable[[Record], Any]


class Events(Sequence[Event]):
    """The events of a batch, in the order in which they take effect.

    An `Event` is made of each once one of them is asked for. The columns (`ids`, `types`, `keys`,
    `values` and `json()`) need none of them, and cost less: each has one element for each event.
    """

    __slots__ = ("_event_of", "_ids", "_json_of", "_made", "_records", "_types")

    def __init__(
        self,
        ids: Sequence[bytes],
        types: Sequence[str | None],
        records: Sequence[Record],
        *,
        event_of: EventOf,
        json_of: JsonOf,
    ) -> None:
        self._ids = ids
        self._types = types
        self._records = records
        self._event_of = event_of
        self._json_of = json_of
        self._made: list[Event] | None = None

    def _events(self) -> list[Event]:
        if self._made is None:
            rows = zip(self._records, self._ids, self._types, strict=True)
            self._made = [self._event_of(*row) for row in rows]
        return self._made

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Event]:
        return iter(self._events())

    @overload
    def __getitem__(self, index: int) -> Event: ...
    @overload
    def __getitem__(self, index: slice) -> list[Event]: ...
    def __getitem__(self, index: int | slice) -> Event | list[Event]:
        return self._events()[index]

    @property
    def ids(self) -> list[UUID]:
        """Return the id of each event."""
        return [UUID(bytes=each) for each in self._ids]

    @property
    def types(self) -> list[str | None]:
        """Return the type of each event; None for one without a type."""
        return list(self._types)

    @property
    def keys(self) -> list[bytes | None]:
        """Return the key of each record."""
        return [record.key() for record in self._records]

    @property
    def values(self) -> list[bytes | None]:
        """Return the value of each record; None is a tombstone."""
        return [record.value() for record in self._records]

    def json(self) -> list[Any]:
        """Return the decoded value of each event, as `Event.json` does.

        Raises:
            EventError: a value is null or not valid JSON. Only this event becomes a dead letter.
        """
        found: list[Any] = []
        try:
            for record in self._records:
                found.append(self._json_of(record))  # noqa: PERF401 - the error needs the number of values so far
        except EventError as error:
            error.index = len(found)
            raise
        return found
