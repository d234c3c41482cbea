"""The handler of the crash tests: whatever is applied twice, lost or out of order shows in its tables."""

from inbox import Event, EventError, Transaction

TABLES = """
CREATE TABLE effects (
    position bigint GENERATED ALWAYS AS IDENTITY, event_id text NOT NULL, key text, seq bigint NOT NULL
);
CREATE TABLE counters (key text PRIMARY KEY, count bigint NOT NULL);
CREATE TABLE appended (event_id text NOT NULL, key text, seq bigint, amount numeric(12, 2) NOT NULL);
"""
"""No unique constraint on any effect: nothing but the sink keeps an event from taking effect twice."""


def record(event: Event, tx: Transaction) -> None:
    body = event.json()
    if body["kind"] == "poison":
        raise EventError("the event says that it is poison")
    if body["kind"] == "broken":
        raise ValueError("the event breaks its handler")
    key = event.key.decode() if event.key is not None else None
    tx.execute("INSERT INTO effects (event_id, key, seq) VALUES (%s, %s, %s)", (str(event.id), key, body["seq"]))
    tx.execute(
        "INSERT INTO counters VALUES (%s, 1) ON CONFLICT (key) DO UPDATE SET count = counters.count + 1",
        (key or "none",),
    )
