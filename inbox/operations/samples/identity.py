"""Find the members that distinguish the rows of a topic, and those that distinguish its events."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inbox.documents import pointer_to, whole_number_text
from inbox.events import Record
from inbox.operations.samples.columns import snake_case
from inbox.reading.options import Envelope

_IDS = ("event_id", "ce_id", "id")
_EVENT_IDS = frozenset({"event_id", "event_uuid", "message_id", "message_uuid"})
_KEYS = ("id", "uuid", "key", "code")
_UUID = re.compile(rb"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")


@dataclass(frozen=True)
class SampledEvent:
    """An event of a sample: its record, its decoded key (None without one, or if it is a text), and its row.

    `has_position` is whether `event_id = "debezium"` can name the changes of its source.
    """

    record: Record
    key: Any
    row: Mapping[str, Any] | None
    has_position: bool = True


@dataclass(frozen=True)
class RowKey:
    """The members by which a row is found, why, and whether the record's key has them too."""

    members: tuple[str, ...]
    why: str
    in_record: bool


@dataclass(frozen=True)
class EventIdChoice:
    """A rule for `event_id`, and why it was chosen."""

    rule: str
    why: str


def row_key_of(events: Sequence[SampledEvent], topic: str) -> RowKey | None:
    """Return the key of the rows; None where nothing in the events looks like one."""
    written = [event for event in events if event.row]
    if not written:
        return None
    if all(event.record.key() is not None for event in written):
        if (names := _names_of_object(written)) is not None:
            return RowKey(names, "the record's key has these members", in_record=True)
        if (name := _name_of_text(written)) is not None:
            return RowKey((name,), "it is the record's key in each event", in_record=True)
    for name in _likely(written, topic):
        values = [_key_text(event.row.get(name)) for event in written if event.row]
        if None not in values and len(set(values)) == len(values) > 1:
            return RowKey(
                (name,), f"it differs in each of {len(values)} events; the record's key does not have it", False
            )
    return None


def event_id_of(events: Sequence[SampledEvent], envelope: Envelope) -> EventIdChoice:
    """Return the rule by which an event's id is found."""
    if envelope is Envelope.DEBEZIUM and all(event.has_position for event in events):
        return EventIdChoice("debezium", "the source's position, which the connector repeats after a crash")
    if envelope is Envelope.CLOUDEVENTS:
        return EventIdChoice("auto", "the id and the source of each CloudEvent")
    records = [event.record for event in events]
    headers = [dict(record.headers() or []) for record in records]
    for name in _IDS:
        if headers and all(each.get(name) for each in headers):
            return EventIdChoice("auto", f"the header {name} is in each event")
    for name in headers[0] if headers else ():
        values = [each.get(name) for each in headers]
        if len(values) > 1 and len(set(values)) == len(values) and all(v and _UUID.fullmatch(v) for v in values):
            return EventIdChoice(f"header:{name}", f"the header {name} is a UUID, and differs in each event")
    written = [event.row for event in events if event.row]
    for name in written[0] if written else ():
        texts = [_key_text(row.get(name)) for row in written]
        if snake_case(name) in _EVENT_IDS and None not in texts and len(set(texts)) == len(texts):
            return EventIdChoice(f"value:{pointer_to(name)}", f'"{name}" differs in each event')
    return EventIdChoice(
        "coordinates",
        "no header or member is an id of the event, so its coordinates are the id; an event that its producer sends "
        "twice is applied twice",
    )


def _names_of_object(events: Sequence[SampledEvent]) -> tuple[str, ...] | None:
    """Return the members of the records' keys, if they are objects whose members the rows have with the same values."""
    first = events[0].key
    if not isinstance(first, dict) or not first:
        return None
    for event in events:
        key, row = event.key, event.row or {}
        if not isinstance(key, dict) or key.keys() != first.keys():
            return None
        if any(value is None or _key_text(row.get(name)) != _key_text(value) for name, value in key.items()):
            return None
    return tuple(first)


def _name_of_text(events: Sequence[SampledEvent]) -> str | None:
    """Return the member whose value is the record's key in each row."""
    texts = [_text_of_key(event) for event in events]
    if None in texts:
        return None
    rows = [event.row or {} for event in events]
    fitting = [
        name for name in rows[0] if all(_key_text(row.get(name)) == text for row, text in zip(rows, texts, strict=True))
    ]
    return min(fitting, key=lambda name: (not snake_case(name).endswith("id"), rows[0].get(name) is None), default=None)


def _text_of_key(event: SampledEvent) -> str | None:
    if event.key is not None:
        return _key_text(event.key)
    try:
        return (event.record.key() or b"").decode()
    except UnicodeDecodeError:
        return None


def _likely(events: Sequence[SampledEvent], topic: str) -> list[str]:
    """Return the members that are named like a key: `id`, or the topic's name with `_id`."""
    names = list(events[0].row or {})
    words = set(snake_case(topic).split("_"))
    singular = words | {word.removesuffix("s") for word in words}
    own = {f"{word}_{end}" for word in singular for end in ("id", "uuid", "number", "no", "key")}
    return sorted(
        (name for name in names if snake_case(name) in own or snake_case(name) in _KEYS),
        key=lambda name: (snake_case(name) not in own, snake_case(name)),
    )


def _key_text(value: Any) -> str | None:
    """Return a value as a key has it; None for a kind that cannot be a key."""
    if isinstance(value, bool | float | dict | list) or value is None:
        return None
    return whole_number_text(value) if isinstance(value, int) else str(value)
