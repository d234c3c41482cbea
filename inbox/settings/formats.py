"""The formats of the routes, with the registry and the schemas of files."""

from pathlib import Path

import orjson

from inbox.errors import EventError, StartupError
from inbox.kafka.registry.options import RegistryOptions
from inbox.kafka.registry.schemas import SchemaRegistry, schema_registry
from inbox.reading.formats.protobuf.reader import require_protobuf, schema_of_descriptor_set
from inbox.reading.options import Format, FormatOptions, Nul
from inbox.reading.schemas import LARGEST_SCHEMA, SchemaKind, WrittenSchema
from inbox.relay.formats.options import EncodingOptions, OutboxFormat
from inbox.settings.document import Document, RouteSection

_KINDS = {Format.AVRO: SchemaKind.AVRO, Format.JSON_SCHEMA: SchemaKind.JSON}


def registry_options(document: Document) -> RegistryOptions | None:
    """Return the properties of `[registry]`, or None without it."""
    return RegistryOptions(properties=document.registry) if document.registry else None


def registry_of(options: RegistryOptions | None) -> SchemaRegistry | None:
    """Return the registry that all routes share, or None without one. It is not asked yet."""
    return None if options is None else schema_registry(options)


def format_options(route: RouteSection, registry: SchemaRegistry | None, cwd: Path) -> FormatOptions:
    """Return the format of a route.

    Raises:
        StartupError: the schema file cannot be read.
    """
    return FormatOptions(
        value=route.format,
        key=route.key_format,
        message=route.message,
        schema=None if route.schema_file is None else schema_of_file(cwd, route.schema_file, route.format),
        validate=bool(route.validate_),
        as_documents=route.format.has_decoded_rows and route.table is not None and route.table.for_each is not None,
        removes_nul=route.table is not None and route.table.nul is Nul.REMOVE,
        schemas=registry,
    )


def encoding_options(document: Document, cwd: Path) -> EncodingOptions | None:
    """Return the schemas with which the relay sends; None if it sends payloads as they are.

    Raises:
        StartupError: a schema file cannot be read.
    """
    section, registry = document.outbox, registry_options(document)
    if section is None or section.format is OutboxFormat.JSON or registry is None:
        return None
    form = Format(section.format.value)
    copies = document.failures.copy_to
    return EncodingOptions(
        format=section.format,
        registry=registry,
        naming=section.subject,
        register=section.register_,
        files={subject: schema_of_file(cwd, file, form) for subject, file in (section.schemas or {}).items()},
        plain_topics=frozenset([copies] if copies else []),
    )


def schema_of_any_file(cwd: Path, name: str) -> WrittenSchema:
    """Return the schema in a file below `cwd`: JSON is Avro or a JSON Schema, anything else a FileDescriptorSet.

    Raises:
        StartupError: it cannot be read.
    """
    data = b""
    try:
        data = (cwd / name).read_bytes()
        document = orjson.loads(data)
    except (OSError, orjson.JSONDecodeError):
        is_text = data.lstrip()[:1] in (b"{", b"[")  # JSON with a mistake, which its reader names
        return schema_of_file(cwd, name, Format.AVRO if is_text else Format.PROTOBUF)
    is_avro = not isinstance(document, dict) or "fields" in document or document.get("type") == "record"
    return schema_of_file(cwd, name, Format.AVRO if is_avro else Format.JSON_SCHEMA)


def schema_of_file(cwd: Path, name: str, form: Format) -> WrittenSchema:
    """Return the schema in a file below `cwd`. Raises StartupError if it cannot be read."""
    file = cwd / name
    try:
        if file.stat().st_size > LARGEST_SCHEMA:
            raise StartupError(f"schema_file {name} is larger than {LARGEST_SCHEMA} bytes")
        data = file.read_bytes()
    except OSError as error:
        raise StartupError(f"schema_file {name} cannot be read: {error.strerror}") from None
    if form is Format.PROTOBUF:
        require_protobuf()
        try:
            return schema_of_descriptor_set(data, name)
        except EventError as error:
            raise StartupError(f"schema_file {error}") from None
    try:
        return WrittenSchema(_KINDS[form], data.decode(), (), name)
    except UnicodeDecodeError:
        raise StartupError(f"schema_file {name} is not UTF-8 text") from None
