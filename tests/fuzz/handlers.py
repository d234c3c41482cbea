"""The handler of the fuzz run: it decodes whatever comes, as one that was written for well-formed events."""

from inbox import Event, EventError, Transaction


def note(event: Event, tx: Transaction) -> None:
    """Write the event's document as this project's decoder sees it."""
    document = event.json()
    if document == []:
        raise EventError("empty")
    text = document["text"] if isinstance(document, dict) and isinstance(document.get("text"), str) else None
    tx.execute(
        'INSERT INTO effects ("offset", id, type, text, document) VALUES (%s, %s, %s, %s, %s::jsonb)',
        (event.offset, event.id, event.type, text, (event.value or b"").decode()),
    )
