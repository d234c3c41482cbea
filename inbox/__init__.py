"""Takes committed Kafka events into PostgreSQL effectively once."""

from inbox.errors import EventError, HaltError, InboxError, StartupError, TryAgainError
from inbox.events import Event
from inbox.handlers import Transaction, handler
from inbox.handling.batch import Events
from inbox.plugins.credentials import Credential, CredentialRequest

__version__ = "0.1.0"

__all__ = [
    "Credential",
    "CredentialRequest",
    "Event",
    "EventError",
    "Events",
    "HaltError",
    "InboxError",
    "StartupError",
    "Transaction",
    "TryAgainError",
    "handler",
]
