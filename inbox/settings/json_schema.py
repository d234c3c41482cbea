"""Describe `inbox.toml` as a JSON Schema, from the settings themselves, for editors that complete and check."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from importlib import resources
from typing import Any, get_type_hints

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from inbox.settings.document import Document

SCHEMA_FILE = "inbox.schema.json"
"""The name of the JSON Schema in the package, and the one that configurations give it."""

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_BY_RESULT: Mapping[object, JsonSchemaValue] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    timedelta: {"type": "string", "pattern": "^[0-9]+ *(ms|s|m|h|d|w)$"},
}


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema of a configuration file.

    It knows every key, the words of a choice, and the type of a value. Rules that join keys are left to
    `inbox check`.
    """
    found = Document.model_json_schema(schema_generator=_Generator)
    return {"$schema": _DIALECT, **found, "title": "inbox.toml", "description": "The configuration of kafka-inbox."}


def shipped_schema() -> str:
    """Return the text of the JSON Schema that the package has as a file; a test holds it against the settings."""
    return resources.files("inbox.settings").joinpath("names", SCHEMA_FILE).read_text("utf-8")


class _Generator(GenerateJsonSchema):
    """A generator that describes what a reader takes, instead of what it returns."""

    def function_plain_schema(self, schema: core_schema.PlainValidatorFunctionSchema) -> JsonSchemaValue:
        return _taken_by(schema["function"]["function"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        """Leave defaults out: they are the values that a reader returns, in a form that no file has."""
        return self.generate_inner(schema["schema"])

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        """Leave null out, which TOML does not have."""
        return self.generate_inner(schema["schema"])

    def field_title_should_be_set(self, schema: object) -> bool:
        return False


def _taken_by(reader: Callable[..., Any]) -> JsonSchemaValue:
    taken = getattr(reader, "takes", None)
    if taken is not None:
        return dict(taken)
    return dict(_BY_RESULT.get(get_type_hints(reader).get("return"), {}))
