"""The outbox for any program: `inbox.outbox.publish`, in the transaction of the change that the event tells of."""

from inbox.store.outbox import OutgoingPayload
from inbox.store.publishing import PublishingConnection, publish

__all__ = ["OutgoingPayload", "PublishingConnection", "publish"]
