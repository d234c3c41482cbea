"""The outbox for any program: `inbox.outbox.publish`, in the transaction of the change that the event tells of."""

from inbox.store.outbox.publish import PublishingConnection, publish
from inbox.store.outbox.publisher import OutgoingPayload

__all__ = ["OutgoingPayload", "PublishingConnection", "publish"]
