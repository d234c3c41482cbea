"""Publish from a handler: put an event into the outbox, in the transaction of the change that it describes."""

from typing import Any
from uuid import NAMESPACE_OID, UUID, uuid5

from inbox.documents import DocumentError, parse, write
from inbox.errors import EventError, HaltError
from inbox.store.options import OutboxOptions, OutboxPayload
from inbox.store.postgres.handler_session import HandlerSession
from inbox.store.sql import statements

OutgoingPayload = dict[str, Any] | list[Any] | str | bytes


class Outbox:
    """The outbox of a schema, as one route of one sink publishes into it."""

    def __init__(self, schema: str, options: OutboxOptions, *, sink: str, route: str) -> None:
        self.insert = statements("outbox", schema)["publish"].decode()
        self._payload = options.payload
        # Includes the sink's name: two sinks with routes of one name would otherwise publish different
        # events under one id.
        self._source = f"{sink}\0{route}"

    def derived_id(self, incoming: bytes, number: int) -> UUID:
        """Return the id of the route's `number`-th event for the incoming one; it is the same at every try."""
        return uuid5(UUID(bytes=incoming), f"{self._source}\0{number}")

    def id_of_letter(self, partition_id: int, offset: int) -> UUID:
        """Return the id of the copy of the dead letter that the route parked at these coordinates."""
        return uuid5(NAMESPACE_OID, f"{self._source}\0dead letter\0{partition_id}\0{offset}")

    def stored(self, payload: OutgoingPayload) -> str | bytes:
        """Return the payload as its column takes it.

        Raises:
            EventError: the payload cannot be written as the column's type.
        """
        if isinstance(payload, dict | list):
            text = as_json(payload)
            return text if self._payload is OutboxPayload.JSON else text.encode()
        given = (
            payload if isinstance(payload, bytes) else required_text(payload, "payload", "a dict, list, str or bytes")
        )
        if self._payload is OutboxPayload.JSON:
            return required_json(given)
        return given if isinstance(given, bytes) else given.encode()


class Publisher:
    """A publisher for the handler of one route; it knows which event is being handled."""

    __slots__ = ("_incoming", "_outbox", "_published", "_session")

    def __init__(self, session: HandlerSession, outbox: Outbox | None) -> None:
        self._session = session
        self._outbox = outbox
        self._incoming: bytes | None = None
        self._published = 0

    def follow(self, event_id: bytes) -> None:
        """Set the event for which later events are published, by its id."""
        self._incoming = event_id
        self._published = 0

    def publish(
        self, topic: str, payload: OutgoingPayload, event_type: str, key: str | None, event_id: UUID | None
    ) -> None:
        """Publish as `Transaction.publish`."""
        outbox = self._outbox
        if outbox is None:
            raise HaltError(
                "a handler publishes and there is no outbox; add [outbox] to the configuration, run `inbox migrate`, "
                "and start again (a table of yours that [outbox] names is written with tx.execute)"
            )
        row = {
            "event_id": self._next_id(outbox) if event_id is None else required_id(event_id),
            "topic": required_text(topic, "topic"),
            "key": None if key is None else required_text(key, "key"),
            "type": required_text(event_type, "type"),
            "payload": outbox.stored(payload),
        }
        self._session.execute(outbox.insert, row)

    def _next_id(self, outbox: Outbox) -> UUID:
        if self._incoming is None:
            raise EventError(
                "a batch handler publishes without event_id, which cannot be derived from many events; pass an id "
                "that is the same at every try, such as a uuid5 of the id of the event that it comes from"
            )
        self._published += 1
        return outbox.derived_id(self._incoming, self._published)


def as_json(payload: dict[str, Any] | list[Any]) -> str:
    """Return the payload as JSON; raise EventError for what JSON cannot express."""
    try:
        return write(payload)
    except DocumentError as error:
        raise EventError(f"the payload to publish cannot be written as JSON: {error}") from None


def required_json(payload: str | bytes) -> str:
    """Return the text unchanged: every sink that reads it will take it as JSON.

    Raises:
        EventError: the text is not valid JSON.
    """
    try:
        encoded = payload.encode() if isinstance(payload, str) else payload
        parse(encoded)
    except UnicodeEncodeError:
        raise EventError("the payload to publish is not valid JSON: it holds a lone surrogate") from None
    except DocumentError as error:
        raise EventError(f"the payload to publish is not valid JSON: {error}") from None
    return encoded.decode()


# A parameter of another type would fail in a statement that never succeeds, which looks like an outage.
def required_text(given: object, name: str, wanted: str = "a str") -> str:
    if not isinstance(given, str):
        raise EventError(f"the {name} of an event to publish is of type {type(given).__name__}; pass {wanted}")
    return given


def required_id(given: object) -> UUID:
    if not isinstance(given, UUID):
        raise EventError(f"the event_id of an event to publish is of type {type(given).__name__}; pass a uuid.UUID")
    return given
