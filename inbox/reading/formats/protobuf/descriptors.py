"""Find a message in a schema's descriptors, and compile how its values become a row."""

import re
from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from importlib import import_module
from typing import TYPE_CHECKING, Any

from inbox.printable import printable
from inbox.reading.formats.protobuf.values import Converters
from inbox.reading.schemas import MOST_NODES, SchemaError, WrittenSchema, require_bounded

if TYPE_CHECKING:
    from google.protobuf.descriptor import Descriptor
    from google.protobuf.descriptor_pb2 import DescriptorProto, FileDescriptorProto
    from google.protobuf.descriptor_pool import DescriptorPool

Read = Callable[[bytes], Any]

_MAIN = "inbox-main.proto"
"""The name of the schema's own file, whose name in the registry is arbitrary."""

_OF_PROTOBUF = re.compile(
    r"google/protobuf/(any|api|descriptor|duration|empty|field_mask|source_context|struct|timestamp|type|wrappers)[.]proto"
)
_OF_GOOGLE = re.compile(
    r"google/type/(calendar_period|color|date|datetime|dayofweek|decimal|expr|fraction|interval|latlng|localized_text"
    r"|money|month|phone_number|postal_address|quaternion|timeofday)[.]proto"
)


class Messages:
    """The messages of one schema. Raises SchemaError if its descriptors are not valid."""

    def __init__(self, written: WrittenSchema) -> None:
        require_bounded(written)
        self._name = written.name
        self._pool, self._file = _pool_of(written)
        self._converters = Converters(self._pool)
        self._by_path: dict[Sequence[int], Read] = {}
        self._by_name: dict[str, Read] = {}

    def at(self, path: tuple[int, ...]) -> Read:
        """Return the reader of the message at this path. Raises SchemaError if there is none."""
        found = self._by_path.get(path)
        if found is None:
            found = self._by_path[path] = self.named(self.name_at(path))
        return found

    def named(self, message: str) -> Read:
        """Return the reader of the message with this full name. Raises SchemaError if there is none."""
        found = self._by_name.get(message)
        if found is None:
            found = self._by_name[message] = self._reader(message)
        return found

    def index_of(self, message: str) -> int:
        """Return the index in its file of a message with this full name. Raises SchemaError if there is none."""
        self.descriptor(message)
        names = list(_names_in(self._file))
        if message not in names:
            raise SchemaError(
                f"{self._name} has the message {printable(message)} within another one; name an outer one"
            )
        return names.index(message)

    def name_at(self, path: tuple[int, ...]) -> str:
        """Return the full name of the message at this path. Raises SchemaError if there is none."""
        among: Sequence[DescriptorProto] = self._file.message_type
        names = [self._file.package] if self._file.package else []
        for index in path:
            if not 0 <= index < len(among):
                raise SchemaError(f"{self._name} has no message at the record's path {list(path)}; check its producer")
            names.append(among[index].name)
            among = among[index].nested_type
        return ".".join(names)

    def descriptor(self, message: str) -> "Descriptor":
        """Return the descriptor of a message."""
        try:
            return self._pool.FindMessageTypeByName(message)
        except KeyError:
            names = list(_names_in(self._file))[:10]
            raise SchemaError(
                f"{self._name} has no message {printable(message)}; it has {', '.join(map(printable, names)) or 'none'}"
            ) from None

    def descriptor_of(self, message: str | None) -> "list[Descriptor]":
        """Return the descriptor of the message, or of every message of the file that a record may have."""
        return [self.descriptor(name) for name in ([message] if message else _names_in(self._file))]

    def _reader(self, message: str) -> Read:
        from google.protobuf.message import DecodeError
        from google.protobuf.message_factory import GetMessageClass

        descriptor = self.descriptor(message)
        message_class, convert = GetMessageClass(descriptor), self._converters.whole(descriptor)
        name = f"{descriptor.full_name} of {self._name}"

        def read(data: bytes) -> Any:
            try:
                return convert(message_class.FromString(data))
            except (DecodeError, UnicodeDecodeError):
                # The library's message says no more.
                raise SchemaError(
                    f"the value does not fit {name}: it is cut short, or of another message; check its producer"
                ) from None
            except RecursionError:
                raise SchemaError(f"the value does not fit {name}: it nests too deep") from None

        return read


def _pool_of(written: WrittenSchema) -> tuple["DescriptorPool", "FileDescriptorProto"]:
    """Return a pool with the schema's files, and the schema's own file."""
    from google.protobuf.descriptor_pool import DescriptorPool

    files = {reference.name: _parsed(reference.text, reference.name, written) for reference in written.references}
    main = files[_MAIN] = _parsed(written.text, _MAIN, written)
    if sum(map(_count, (each.message_type for each in files.values()))) > MOST_NODES:
        raise SchemaError(f"{written.name} has more than {MOST_NODES} messages and fields")
    pool = DescriptorPool()
    added: set[str] = set()
    for name, file in files.items():
        for wanted in file.dependency:
            _add_built_in(pool, wanted, added, files)
        try:
            pool.AddSerializedFile(file.SerializeToString())
            pool.FindFileByName(name)
        except (TypeError, KeyError) as error:
            raise SchemaError(f"{written.name} cannot be used: {_first_line(error)}") from None
        added.add(name)
    return pool, main


def _parsed(text: str, name: str, written: WrittenSchema) -> "FileDescriptorProto":
    from google.protobuf.descriptor_pb2 import FileDescriptorProto
    from google.protobuf.message import DecodeError

    try:
        file = FileDescriptorProto.FromString(b64decode(text, validate=True))
    except (DecodeError, ValueError):
        raise SchemaError(
            f"{written.name} is not a serialized descriptor, and its registry makes none of it (format=serialized); "
            "register it as descriptors, as confluent-kafka's serializer does, or set schema_file if values have no "
            "schema id before them"
        ) from None
    file.name = name
    return file


def _add_built_in(pool: "DescriptorPool", name: str, added: set[str], files: Mapping[str, Any]) -> None:
    """Add a file that registries leave out, if it is one of these; no other name loads anything."""
    if name in files or name in added or (file := _built_in(name)) is None:
        return
    added.add(name)
    for wanted in file.dependency:
        _add_built_in(pool, wanted, added, files)
    pool.AddSerializedFile(file.SerializeToString())


def _built_in(name: str) -> "FileDescriptorProto | None":
    from google.protobuf.descriptor_pb2 import FileDescriptorProto

    if _OF_PROTOBUF.fullmatch(name) or _OF_GOOGLE.fullmatch(name):
        with suppress(ImportError):
            module = import_module(f"{name.removesuffix('.proto').replace('/', '.')}_pb2")
            return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)
    if name == "confluent/meta.proto":  # options, which do not change how values are read
        return FileDescriptorProto(name=name, package="confluent", syntax="proto3")
    if name == "confluent/type/decimal.proto":
        return _confluent_decimal(name)
    if name == "confluent/types/decimal.proto":
        moved = "confluent/type/decimal.proto"
        return FileDescriptorProto(name=name, dependency=[moved], public_dependency=[0], syntax="proto3")
    return None


def _confluent_decimal(name: str) -> "FileDescriptorProto":
    from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

    file = FileDescriptorProto(name=name, package="confluent.type", syntax="proto3")
    message = file.message_type.add(name="Decimal")
    kinds = (FieldDescriptorProto.TYPE_BYTES, FieldDescriptorProto.TYPE_UINT32, FieldDescriptorProto.TYPE_INT32)
    for number, (field, kind) in enumerate(zip(("value", "precision", "scale"), kinds, strict=True), 1):
        message.field.add(name=field, number=number, type=kind, label=FieldDescriptorProto.LABEL_OPTIONAL)
    return file


def _names_in(file: "FileDescriptorProto") -> Iterator[str]:
    for message in file.message_type:
        yield f"{file.package}.{message.name}" if file.package else message.name


def _count(messages: Sequence["DescriptorProto"]) -> int:
    return sum(1 + len(each.field) + _count(each.nested_type) for each in messages)


def _first_line(error: BaseException) -> str:
    text = str(error.args[0]) if error.args else type(error).__name__
    return printable(text.strip().partition("\n")[0][:200])
