"""The advice on rules for event ids that are right for some producers only: `key` and `coordinates`."""

from collections.abc import Collection

from inbox.failure_policy import SameId
from inbox.settings import Settings
from inbox.sink.routes import HandlerTarget, Route
from inbox.store.options import TableMode

_OVERWRITING = (TableMode.UPSERT, TableMode.NEWEST)


def advice_on_keys(settings: Settings, compacted: Collection[str] = ()) -> list[str]:
    """Return a sentence for each route that probably has several events of a key, and would apply only the first.

    `compacted` are the topics whose log keeps the last event of a key.
    """
    parks = settings.failures.same_id_other_payload is SameId.PARK
    fate = "becomes a dead letter" if parks else "is counted as a duplicate and not applied"
    return [
        f'route {route.name}: with event_id = "key" a key has one event, ever, since the key is the event\'s id, and a '
        f"second one with another payload {fate}; {sign}. Unless each event has a key of its own, take the id from a "
        'header or the value, or set event_id = "coordinates"'
        for route in settings.routes
        if route.event_id == "key" and (sign := _sign_of_more(route, compacted))
    ]


def advice_on_coordinates(settings: Settings) -> list[str]:
    """Return a sentence for each route without claims on which an event that was sent twice has two effects."""
    return [
        f'route {route.name}: with event_id = "coordinates" it keeps no claims; what Kafka or the sink deliver again '
        "has no effect, but what its producer sends again under another offset is applied again. That is right "
        "for change data capture, logs and metrics; if the producer repeats events, take the id from a header or the "
        "value"
        for route in settings.routes
        if not route.keeps_claims and (isinstance(route.target, HandlerTarget) or route.target.mode is TableMode.APPEND)
    ]


def _sign_of_more(route: Route, compacted: Collection[str]) -> str | None:
    """Return what suggests that a key has several events, or None."""
    if not isinstance(route.target, HandlerTarget) and route.target.mode in _OVERWRITING:
        return f'mode "{route.target.mode.value}" is for rows that several events write'
    topics = [topic for topic in route.topics if topic in compacted]
    return f"topic {topics[0]} is compacted, as topics with several events of a key are" if topics else None
