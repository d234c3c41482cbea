"""Read the events of dead letters again, as their route is configured now."""

from collections.abc import Sequence
from dataclasses import fields, replace
from uuid import UUID

from inbox.errors import EventError
from inbox.events import AlteredRecord, Header, Record
from inbox.reading.payload_hash import payload_hash
from inbox.sink.batch import NO_ID, RouteBatch, RouteEvents
from inbox.sink.decoder import TopicDecoder
from inbox.sink.routes import Route
from inbox.store.inbox.dead_letter_queries import Letter
from inbox.store.inbox.dead_letters import EventTooLargeError
from inbox.store.tables.enveloped_rows import empties_table


class _LetterDecoders:
    """The decoders of a route, as it is configured now, by topic."""

    def __init__(self, route: Route) -> None:
        self._route = route
        self._decoders: dict[tuple[str, UUID | None], TopicDecoder] = {}

    def decoded(self, letter: Letter, record: Record) -> RouteEvents:
        """Return what the route makes of the record: one event or none."""
        topic = record.topic()
        decoder = self._decoders.get((topic, letter.topic_id))
        if decoder is None:
            decoder = TopicDecoder(topic, letter.topic_id, [replace(self._route, topics=(topic,))])
            self._decoders[topic, letter.topic_id] = decoder
        events_by_route = decoder.new_columns()
        decoder.add(record, events_by_route.values())
        return events_by_route[self._route.name]


def id_of(letter: Letter, route: Route, value: bytes | None, headers: Sequence[Header]) -> bytes | None:
    """Return the event id that the dead letter would have with this value and these headers, or None."""
    record = replace(letter.record, kept_value=value, kept_headers=list(headers))
    ids = _LetterDecoders(route).decoded(letter, record).ids
    return ids[0] if ids and ids[0] != NO_ID else None


def _record_to_apply(letter: Letter, decoders: _LetterDecoders) -> Record:
    """Return the record. Where it is not as it came, the claim has the hash of what came: duplicates come like that."""
    record = letter.record
    if letter.original is None and letter.redacted_at is None and not _is_cut(letter):
        return record
    claim_hash = hash_of_what_came(letter)
    if letter.payload_hash is None and letter.original is not None:
        came = decoders.decoded(letter, letter.original)
        claim_hash = payload_hash(came.records[0] if came.ids else letter.original)
    kept = {each.name: getattr(record, each.name) for each in fields(record)}
    return AlteredRecord(**kept, claim_hash=claim_hash)


def hash_of_what_came(letter: Letter) -> bytes:
    """Return the hash with which the dead letter is claimed without being read again.

    A version before `payload_hash` kept none. Then it is that of the bytes, which a repeat may have too.
    """
    return letter.payload_hash or payload_hash(letter.original or letter.record)


def _is_cut(letter: Letter) -> bool:
    """Return whether parts of the event were left out because it is too large.

    Such an event may have been parked again for another reason. Its value is empty then, and its hash is not that
    of an empty value.
    """
    if letter.error_class == EventTooLargeError.__name__:
        return True
    came = letter.original or letter.record
    return came.value() == b"" and letter.payload_hash not in (None, payload_hash(came))


def _error_of_missing_parts(letter: Letter) -> EventError | None:
    """Return why a dead letter that is not kept whole cannot be applied. What the route would make of it says nothing.

    An edited one is whole again.
    """
    if letter.redacted_at is not None:
        return EventError(
            f"its payload was removed at {letter.redacted_at:%Y-%m-%d %H:%M} UTC; replay its offset as long as the "
            "log has it, or discard it"
        )
    return EventTooLargeError(letter.error) if _is_cut(letter) and letter.original is None else None


def events_of(letters: Sequence[Letter], route: Route) -> RouteBatch:
    """Return the events that the route, as it is configured now, makes of the dead letters.

    Dead letters that the route passes over are left out.
    """
    route_batch, decoders = RouteBatch(), _LetterDecoders(route)
    for letter in letters:
        record, missing = _record_to_apply(letter, decoders), _error_of_missing_parts(letter)
        events = decoders.decoded(letter, record)
        if not events.ids:
            if missing is None:
                continue
            events = RouteEvents([NO_ID], [letter.type], [record])
        refusal = missing or events.refused.get(0)
        if empties_table(events.records[0]):
            refusal = EventError(
                "a truncate cannot be applied behind the events that followed it, whose rows it would remove; "
                "discard it, and remove the rows by hand"
            )
        if refusal is not None:
            route_batch.refused[len(route_batch)] = refusal
        # The duplicates have the id with which the event was parked.
        route_batch.ids.append(letter.event_id or events.ids[0])
        route_batch.types.append(events.types[0])
        route_batch.records.append(events.records[0])
        route_batch.partition_ids.append(letter.partition_id)
    return route_batch
