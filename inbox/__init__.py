"""Takes committed Kafka events into PostgreSQL effectively once."""

from inbox.credentials import Credential, CredentialRequest
from inbox.errors import EventError, HaltError, InboxError, StartupError, TryAgainError
from inbox.events import Event
from inbox.handlers import Transaction, handler

__version__ = "0.1.0"

__all__ = [
    "Credential",
    "CredentialRequest",
    "Event",
    "EventError",
    "HaltError",
    "InboxError",
    "StartupError",
    "Transaction",
    "TryAgainError",
    "handler",
]
