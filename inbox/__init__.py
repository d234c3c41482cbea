"""Takes committed Kafka events into PostgreSQL effectively once."""

from inbox.errors import EventError, HaltError, InboxError, StartupError, TryAgainError
from inbox.events import Event
from inbox.handlers import Transaction, handler
from inbox.plugins.credentials import Credential, CredentialRequest

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
