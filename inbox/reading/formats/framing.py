"""Find the id of a record's schema: before the data, or in a header.

The wire format of Confluent's serializers: a magic byte, 0 before an id of 4 bytes (big-endian), 1
before a GUID of 16 bytes. With Protobuf the path of the message follows. Newer serializers put all
of this into a header and leave the data alone.
"""

from collections.abc import Sequence
from uuid import UUID

import msgspec

from inbox.errors import EventError
from inbox.events import Header
from inbox.reading.schemas import SchemaId

VALUE_HEADER = "__value_schema_id"
KEY_HEADER = "__key_schema_id"

_ID, _GUID = 0, 1
_LONGEST_PATH = 64
_FIRST = (0,)


class Frame(msgspec.Struct, gc=False):
    """A record's schema id, and where its data begins.

    Attributes:
        path: Protobuf's path to the message: its index in the file, then in each message around it.
        data: the encoded value itself.
    """

    schema_id: SchemaId
    data: bytes
    path: tuple[int, ...] = ()


def unframed(data: bytes, headers: Sequence[Header], header: str, *, with_path: bool = False) -> Frame:
    """Return the frame of a record's key or value.

    Args:
        header: the header that may hold the id; the first of this name counts, as in Confluent's clients.
        with_path: whether a message path follows the id.

    Raises:
        EventError: there is no frame.
    """
    for name, value in headers:
        if name == header and value is not None:
            schema_id, at = _id_at_start(value, f"header {header}")
            return Frame(schema_id, data, _path(value, at)[0] if with_path else ())
    schema_id, at = _id_at_start(data, "the data")
    path: tuple[int, ...] = ()
    if with_path:
        path, at = _path(data, at)
    return Frame(schema_id, data[at:], path)


def _id_at_start(data: bytes, where: str) -> tuple[SchemaId, int]:
    magic = data[0] if data else -1
    if magic == _ID and len(data) >= 5:
        return int.from_bytes(data[1:5], "big"), 5
    if magic == _GUID and len(data) >= 17:
        return UUID(bytes=data[1:17]), 17
    if magic in (_ID, _GUID):
        raise EventError(f"{where} ends within the schema id ({len(data)} bytes); fix its producer")
    begins = f"begins with byte {magic}" if data else "is empty"
    raise EventError(
        f"{where} {begins}, and a schema id begins with byte 0 or 1; set the route's format to that of its producer "
        "(json, if it uses no registry), or set schema_file"
    )


def _path(data: bytes, at: int) -> tuple[tuple[int, ...], int]:
    """Return the message path at this place, and where it ends. A single 0 stands for the first message."""
    if data[at : at + 1] == b"\0":
        return _FIRST, at + 1
    count, at = _varint(data, at)
    if count == 0:
        return _FIRST, at
    if not 0 < count <= _LONGEST_PATH:
        raise EventError("the path of its message is not valid; set the route's format to that of its producer")
    path = []
    for _ in range(count):
        index, at = _varint(data, at)
        path.append(index)
    return tuple(path), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a whole number in zigzag encoding, and where it ends."""
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(data):
            raise EventError("the data ends within the path of its message; fix its producer")
        byte = data[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (number >> 1) ^ -(number & 1), at
    raise EventError("the path of its message is not valid; set the route's format to that of its producer")
