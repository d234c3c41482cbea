"""A handler that decodes each event, and keeps nothing of it in memory."""

from inbox import Event, Transaction


def note(event: Event, tx: Transaction) -> None:
    """Decode the event, and write its coordinates."""
    event.json()
    tx.execute('INSERT INTO effects ("offset", id) VALUES (%s, %s)', (event.offset, event.id))
