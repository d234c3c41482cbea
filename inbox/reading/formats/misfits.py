"""The errors of a value or a schema that cannot be decoded, and the type of a conversion."""

from collections.abc import Callable
from typing import Any

Convert = Callable[[Any], Any]
"""A function from a JSON value that is not null to a value of `inbox.reading.values`."""


class ConnectSchemaError(Exception):
    """A schema that Kafka Connect does not know. The text shows names of its members only."""


class MisfitError(Exception):
    """A value that does not fit its schema. The text says where it is and what the schema expects.

    Attributes:
        path: the names of members on the way to the value; `*` for an element, or the entry of a map.
    """

    def __init__(self, expected: str) -> None:
        super().__init__(expected)
        self.expected = expected
        self.path: list[str] = []

    def __str__(self) -> str:
        where = "".join(f"/{step}" for step in self.path)
        return f"{where or 'the payload'} is not {self.expected}"


class InexactError(Exception):
    """A decimal that was read as a float, so that it may have lost digits."""
