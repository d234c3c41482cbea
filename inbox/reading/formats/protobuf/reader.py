"""Decode Protobuf by the descriptors that the registry keeps; no generated class is needed."""

from collections.abc import Sequence

from inbox.errors import StartupError
from inbox.events import Header
from inbox.reading.formats.decoded import Decoded
from inbox.reading.formats.framed_rows import FramedRows
from inbox.reading.formats.framing import Frame
from inbox.reading.formats.protobuf.descriptors import Messages, Read
from inbox.reading.schemas import CompiledSchemas, SchemaError, SchemaKind, Schemas, WrittenSchema


class ProtobufFormat(FramedRows):
    """The format of a route whose records name their schema in the registry.

    Args:
        message: the full name of the message, or None if each record's own path decides.
    """

    def __init__(self, schemas: Schemas, *, header: str, message: str | None = None) -> None:
        require_protobuf()
        compiled = CompiledSchemas(schemas, SchemaKind.PROTOBUF, Messages)

        def reader_of(frame: Frame) -> Read:
            messages = compiled.get(frame.schema_id)
            return messages.at(frame.path) if message is None else messages.named(message)

        super().__init__(header, reader_of, with_path=True)


class ProtobufFile:
    """The format of a route whose values are plain Protobuf, all of one message of a descriptor set.

    Without `message` it is the first one of the set's last file, as `protoc --descriptor_set_out` orders them.
    """

    def __init__(self, schema: WrittenSchema, message: str | None) -> None:
        require_protobuf()
        messages = Messages(schema)
        self._read = messages.at((0,)) if message is None else messages.named(message)

    def decode(self, data: bytes, headers: Sequence[Header]) -> Decoded:
        """Decode bytes, as `RecordFormat` says."""
        return Decoded(row=self._read(data))


def require_protobuf() -> None:
    """Raise StartupError if the extra is not installed."""
    try:
        import google.protobuf  # noqa: F401 - an extra
    except ImportError:
        raise StartupError('format "protobuf" needs protobuf; pip install "kafka-inbox[protobuf]"') from None


def schema_of_descriptor_set(data: bytes, name: str) -> WrittenSchema:
    """Return the schema in a serialized FileDescriptorSet. Raises SchemaError if it is none."""
    from base64 import b64encode

    from google.protobuf.descriptor_pb2 import FileDescriptorSet
    from google.protobuf.message import DecodeError

    from inbox.reading.schemas import Reference

    try:
        files = FileDescriptorSet.FromString(data).file
    except DecodeError:
        files = []
    if not files:
        raise SchemaError(f"{name} is not a FileDescriptorSet; make it with protoc --include_imports -o FILE")
    texts = [b64encode(each.SerializeToString()).decode() for each in files]
    references = tuple(Reference(each.name, text) for each, text in zip(files[:-1], texts, strict=False))
    return WrittenSchema(SchemaKind.PROTOBUF, texts[-1], references, name)
