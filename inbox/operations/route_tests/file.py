"""Read a test file: `[[test]]` with events, and the rows and dead letters that they should become."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from inbox.errors import StartupError
from inbox.reading.schemas import WrittenSchema
from inbox.settings.formats import schema_of_any_file
from inbox.settings.problems import hint, show_path


class _FilePart(BaseModel):
    """A table of the file, in which an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class GivenEvent(_FilePart):
    """An event of a test.

    Attributes:
        value: the value as a TOML value, which is written in the route's format.
        text: the value as it is, in UTF-8.
        base64: the value in base64. Without `value`, `text` and `base64` the event is a tombstone.
        key: the key: a text as it is, a table as JSON.
        topic: one of the route's topics; default: its first.
        timestamp: milliseconds since 1970; None for a record without a timestamp.
        schema_: the subject of the value's schema, for formats with a registry; default: that of the topic.
        message: the full name of the Protobuf message; default: that of the route, or the first of the schema.
    """

    value: Any = None
    text: str | None = None
    base64: str | None = None
    key: str | dict[str, Any] | None = None
    headers: dict[str, str] = {}
    topic: str | None = None
    timestamp: int | None = None
    schema_: str | None = Field(None, alias="schema")
    message: str | None = None


class ExpectedLetter(_FilePart):
    """A dead letter that a test expects: the number of its event, counted from 0, and a part of its error."""

    event: int | None = None
    error: str | None = None


class Expectation(_FilePart):
    """The expectation of a test: the rows of tables, and the dead letters."""

    rows: dict[str, list[dict[str, Any]]] = {}
    dead_letters: list[ExpectedLetter] = []
    filtered: int | None = None


class RouteTest(_FilePart):
    """A test of one route. `given` is SQL that runs before the events."""

    route: str
    name: str | None = None
    given: str | None = None
    events: list[GivenEvent]
    expect: Expectation


class TestFile(_FilePart):
    """A test file.

    Attributes:
        schema_: a script with the tables, relative to the file.
        schemas: files with schemas by subject, relative to the file, instead of those of a registry.
        null: the text that stands for NULL in expected rows, and for null in the values of events; None for no text.
    """

    __test__ = False  # no class of tests for pytest

    schema_: str | None = Field(None, alias="schema")
    schemas: dict[str, str] = {}
    null: str | None = None
    test: list[RouteTest]

    def schemas_of(self, file: Path) -> dict[str, WrittenSchema]:
        """Return the schemas by subject. Raises StartupError if one cannot be read."""
        return {subject: schema_of_any_file(file.parent, name) for subject, name in self.schemas.items()}

    def script(self, file: Path) -> str | None:
        """Return the text of the script, or None without one; raise StartupError if it cannot be read."""
        return None if self.schema_ is None else _text_of(file.parent / self.schema_)


def read_tests(file: Path) -> TestFile:
    """Read a test file.

    Raises:
        StartupError: it cannot be read, or has a key or a value that it cannot have; the text names each.
    """
    try:
        document = tomllib.loads(_text_of(file))
    except tomllib.TOMLDecodeError as error:
        raise StartupError(f"{file} is not valid TOML: {error}") from None
    try:
        return TestFile.model_validate(document)
    except ValidationError as error:
        lines = [f"{file}: {line}" for line in _problems(error)]
        raise StartupError("\n".join(lines)) from None


def _text_of(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise StartupError(f"{file} cannot be read: {getattr(error, 'strerror', None) or 'it is not UTF-8'}") from None


def _problems(error: ValidationError) -> Iterator[str]:
    for each in error.errors(include_url=False, include_context=False, include_input=False):
        path = each["loc"]
        if each["type"] == "extra_forbidden":
            yield f"{show_path(path)}: unknown key{hint(str(path[-1]), _keys_at(path[:-1]))}"
        else:
            yield f"{show_path(path)}: {each['msg'][0].lower()}{each['msg'][1:]}"


_KEYS_OF: Mapping[tuple[str, ...], type[_FilePart]] = {
    (): TestFile,
    ("test",): RouteTest,
    ("test", "events"): GivenEvent,
    ("test", "expect"): Expectation,
    ("test", "expect", "dead_letters"): ExpectedLetter,
}


def _keys_at(path: Sequence[str | int]) -> list[str]:
    part = _KEYS_OF.get(tuple(step for step in path if isinstance(step, str)))
    return [] if part is None else [field.alias or name for name, field in part.model_fields.items()]
