"""Make the decoder of a route's values or keys from its options."""

from inbox.errors import EventError, StartupError
from inbox.reading.formats.avro.reader import AvroFile, AvroFormat
from inbox.reading.formats.connect.reader import ConnectJson
from inbox.reading.formats.decoded import AsDocument, RecordFormat
from inbox.reading.formats.framing import KEY_HEADER, VALUE_HEADER
from inbox.reading.formats.json_schema import JsonSchemaFile, JsonSchemaFormat
from inbox.reading.formats.protobuf.reader import ProtobufFile, ProtobufFormat
from inbox.reading.nul import WithoutNul
from inbox.reading.options import Format, FormatOptions, KeyFormat
from inbox.reading.schemas import Schemas


def value_decoder(options: FormatOptions) -> RecordFormat | None:
    """Return the decoder of the values, or None if they are JSON or raw bytes that are taken as they are.

    Raises:
        StartupError: a package or the registry is missing.
        SchemaError: the schema file cannot be used.
    """
    found = _value_decoder(options)
    if options.removes_nul and options.value is not Format.RAW:
        framed = options.value is Format.JSON_SCHEMA and options.schema is None
        found = WithoutNul(found, options.value, framed=framed)
    return AsDocument(found) if options.as_documents and found is not None else found


def _value_decoder(options: FormatOptions) -> RecordFormat | None:
    schema, schemas, of = options.schema, options.schemas, options.value
    if of is Format.CONNECT_JSON:
        return ConnectJson("value")
    if of is Format.AVRO:
        return AvroFile(schema) if schema else AvroFormat(_needed(schemas, of), header=VALUE_HEADER)
    if of is Format.PROTOBUF:
        if schema is not None:
            return ProtobufFile(schema, options.message)
        return ProtobufFormat(_needed(schemas, of), header=VALUE_HEADER, message=options.message)
    if of is Format.JSON_SCHEMA:
        if schema is not None:
            return JsonSchemaFile(schema, validate=options.validate)
        known = _needed(schemas, of) if options.validate else None
        return JsonSchemaFormat(known, header=VALUE_HEADER, validate=options.validate)
    return None


def key_decoder(options: FormatOptions) -> RecordFormat | None:
    """Return the decoder of the keys, or None if they are text, JSON or raw bytes. Raises as `value_decoder` does."""
    schemas, of = options.schemas, options.key
    if of is KeyFormat.CONNECT_JSON:
        return ConnectJson("key")
    if of is KeyFormat.AVRO:
        return AvroFormat(_needed(schemas, of), header=KEY_HEADER)
    if of is KeyFormat.PROTOBUF:
        return ProtobufFormat(_needed(schemas, of), header=KEY_HEADER)
    return None


def require_decoders(options: FormatOptions) -> None:
    """Raise StartupError if a package, the registry or a usable schema file is missing."""
    try:
        value_decoder(options)
        key_decoder(options)
    except EventError as error:  # the schema of a file
        raise StartupError(str(error)) from None


def _needed(schemas: Schemas | None, of: Format | KeyFormat) -> Schemas:
    if schemas is None:
        raise StartupError(f'format "{of}" needs a schema registry; set [registry] url, or schema_file in the route')
    return schemas
