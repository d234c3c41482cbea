"""What a route's formats need before a start."""

import sys

import pytest

from inbox.errors import StartupError
from inbox.reading.formats.of_route import require_decoders
from inbox.reading.options import Format, FormatOptions
from inbox.reading.schemas import SchemaKind, WrittenSchema


@pytest.mark.parametrize(
    ("format_", "kind", "package"),
    [(Format.AVRO, SchemaKind.AVRO, "fastavro"), (Format.JSON_SCHEMA, SchemaKind.JSON, "jsonschema")],
)
def test_a_package_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, format_: Format, kind: SchemaKind, package: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    options = FormatOptions(value=format_, schema=WrittenSchema(kind, '{"type": "null"}', (), "s"), validate=True)
    with pytest.raises(StartupError, match=f"needs {package}; pip install"):
        require_decoders(options)
