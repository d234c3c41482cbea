"""Read the id and the type of an event from its record. No I/O; called once for each record and route."""

import re
from binascii import Error as NoHex
from binascii import unhexlify
from collections.abc import Callable, Sequence
from functools import lru_cache
from hashlib import sha1
from typing import Any, cast
from uuid import NAMESPACE_URL, UUID, uuid5

from inbox.documents import NAME_DIGITS, as_name, pointer_steps
from inbox.errors import EventError
from inbox.events import Header, Record, TopicPartition, address, address_of, last_header
from inbox.reading.options import Envelope
from inbox.reading.read_record import ReadRecord

Headers = Sequence[Header]
Identify = Callable[[Record, list[Header], Any], bytes]
ReadType = Callable[[list[Header], Any], str | None]

_UUID_LENGTH, _UUID_BYTES, _DASH = 36, 16, ord("-")
_INDEX = re.compile("0|[1-9][0-9]*")
_VERSION_5 = 0x5 << 76 | 0b10 << 62
_WITHOUT_VERSION = ~(0xF << 76 | 0b11 << 62)
"""The bits of the version and of the variant (RFC 9562, section 4)."""


def as_id(text: str, namespace: bytes) -> bytes:
    """Return an id as 16 bytes: a UUID (RFC 9562, section 4) as it is, other text as its uuid5 in `namespace`.

    Raises:
        EventError: the text is empty.
    """
    if not text:
        raise EventError("the event id is empty")
    return _uuid_in(text.encode()) or uuid5_bytes(namespace, text)


def _uuid_in(text: bytes) -> bytes | None:
    """Return the 16 bytes of a UUID in text form, or None. It takes bytes, so that most ids are never decoded."""
    if len(text) != _UUID_LENGTH or not text[8] == text[13] == text[18] == text[23] == _DASH:
        return None
    try:
        plain = unhexlify(text.replace(b"-", b""))
    except NoHex:
        return None
    return plain if len(plain) == _UUID_BYTES else None


def uuid5_bytes(namespace: bytes, text: str) -> bytes:
    """Return the bytes of `uuid.uuid5` without creating its object, because it is called once for each event."""
    digest = sha1(namespace + text.encode(), usedforsecurity=False).digest()
    return (int.from_bytes(digest[:16], "big") & _WITHOUT_VERSION | _VERSION_5).to_bytes(16, "big")


@lru_cache(maxsize=256)
def namespace_of(source: str) -> bytes:
    """Return the uuid5 namespace of a topic or another source of ids."""
    return uuid5(NAMESPACE_URL, "kafka-inbox:" + source).bytes


def identifier(rule: str, topic: str, topic_id: UUID | None, envelope: Envelope = Envelope.NONE) -> Identify:
    """Return the function that finds the event id of a record of `topic` by the route's rule.

    With an envelope the function takes a `ReadRecord`.
    """
    namespace = namespace_of(topic)
    if rule == "debezium":
        return _by_position(namespace)
    if rule == "auto" and envelope is Envelope.CLOUDEVENTS:
        return _by_attributes(_coordinates(namespace, topic_id))
    kind, _, rest = rule.partition(":")
    if kind == "header":
        return _in_header(rest, namespace)
    if kind == "key":
        return lambda record, headers, _: as_id(_key(record), namespace)
    if kind == "value":
        path, by_coordinates = pointer_steps(rest), _coordinates(namespace, topic_id)
        return lambda record, headers, document: (
            by_coordinates(record) if record.value() is None else as_id(_text_at(document, path, rest), namespace)
        )
    if kind == "coordinates":
        by_coordinates = _coordinates(namespace, topic_id)
        return lambda record, headers, _: by_coordinates(record)
    return lambda record, headers, _: _by_known_headers(headers, namespace)


def type_reader(rule: str | None) -> ReadType:
    """Return the function that finds the event type, or returns None if there is none."""
    if rule is None:
        return lambda headers, document: None
    kind, _, rest = rule.partition(":")
    if kind == "header":
        return lambda headers, document: _text(last_header(headers, rest), f"header {rest}")
    path = pointer_steps(rest)
    return lambda headers, document: _type_at(document, path)


def needs_document(rule: str | None) -> bool:
    """Return whether the rule reads the event's value."""
    return rule is not None and rule.startswith("value:")


def needs_reading(rule: str, envelope: Envelope) -> bool:
    """Return whether the rule reads what a reader found, so that it fails for a record that was not read."""
    in_envelope = rule == "debezium" or (rule == "auto" and envelope is Envelope.CLOUDEVENTS)
    return in_envelope or needs_document(rule)


def look_up(document: Any, path: Sequence[str]) -> Any:
    """Return what a JSON pointer (RFC 6901) finds, or None."""
    found = document
    for step in path:
        if isinstance(found, dict):
            found = found.get(step)
        elif isinstance(found, list) and _INDEX.fullmatch(step) and int(step) < len(found):
            found = found[int(step)]
        else:
            return None
    return found


def _in_header(name: str, namespace: bytes) -> Identify:
    def identify(_: Record, headers: list[Header], __: Any) -> bytes:
        found = None
        for key, value in headers:  # as `last_header`, without a call for each event
            if key == name:
                found = value
        if found is None:
            raise EventError(f"no event id: the record has no header {name}")
        return _uuid_in(found) or as_id(_text(found, f"header {name}") or "", namespace)

    return identify


def _by_known_headers(headers: list[Header], namespace: bytes) -> bytes:
    found = dict(headers)
    if (value := found.get("event_id")) is not None:
        return as_id(_text(value, "header event_id") or "", namespace)
    if (value := found.get("ce_id")) is not None:
        source = _text(found.get("ce_source"), "header ce_source")
        return as_id(_text(value, "header ce_id") or "", namespace_of(source) if source else namespace)
    if (value := found.get("id")) is not None:
        return as_id(_text(value, "header id") or "", namespace)
    raise EventError("no event id: the record has none of the headers event_id, ce_id, id")


def _by_position(namespace: bytes) -> Identify:
    """Return the function that makes an id of a change's place in the source's log, its operation and its key."""

    def identify(record: Record, _: list[Header], __: Any) -> bytes:
        read, key = cast(ReadRecord, record), record.key()
        if key is None and not read.truncates:
            raise EventError(
                "no event id: the record has no key, and several rows may share a place in the source's log; give the "
                'table a primary key, set message.key.columns in the connector, or set event_id = "coordinates"'
            )
        return uuid5_bytes(namespace, f"{read.take_identity()}\n{'' if key is None else key.decode('latin-1')}")

    return identify


def _by_attributes(by_coordinates: Callable[[Record], bytes]) -> Identify:
    """Return the function that makes an id of a CloudEvent's `id` and `source`; a tombstone has neither."""

    def identify(record: Record, _: list[Header], __: Any) -> bytes:
        about = cast(ReadRecord, record).about
        if "$ce:id" not in about:
            return by_coordinates(record)
        return as_id(about["$ce:id"], namespace_of(about["$ce:source"]))

    return identify


def _key(record: Record) -> str:
    text = _text(record.key(), "the record key")
    if text is None:
        raise EventError("no event id: the record has no key")
    return text


def _text(value: bytes | None, what: str) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise EventError(f"{what} is not valid UTF-8") from None


def _text_at(document: Any, path: Sequence[str], pointer: str) -> str:
    found = look_up(document, path)
    if isinstance(found, str | UUID):
        return str(found)
    if isinstance(found, int) and not isinstance(found, bool):
        if (text := as_name(found)) is not None:
            return text
        raise EventError(f"no event id: the whole number at {pointer} has more than {NAME_DIGITS} digits")
    raise EventError(f"no event id: the value has no text or whole number at {pointer}")


def _type_at(document: Any, path: Sequence[str]) -> str | None:
    """Return a text as it is, and a boolean or a whole number as JSON writes it; otherwise None.

    A whole number with too many digits gives None as well.
    """
    found = look_up(document, path)
    if isinstance(found, bool):
        return "true" if found else "false"
    if isinstance(found, int):
        return as_name(found)
    return found if isinstance(found, str) else None


def _coordinates(namespace: bytes, topic_id: UUID | None) -> Callable[[Record], bytes]:
    """Return the function that makes ids of coordinates.

    The ids contain the topic's id, so that a topic that was deleted and created again does not
    repeat them.
    """
    prefix = f"{topic_id}:" if topic_id else ""
    return lambda record: uuid5_bytes(namespace, prefix + address_of(record))


def coordinates_id(at: TopicPartition, topic_id: UUID | None, offset: int) -> bytes:
    """Return the id of the record at these coordinates, under the rule `coordinates`."""
    prefix = f"{topic_id}:" if topic_id else ""
    return uuid5_bytes(namespace_of(at.topic), prefix + address(*at, offset))
