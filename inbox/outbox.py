"""Publish events from any program: `inbox.outbox.publish`, in the transaction of the change that they describe."""

from inbox.store.outbox.publish import PublishingConnection, publish
from inbox.store.outbox.publisher import OutgoingPayload

__all__ = ["OutgoingPayload", "PublishingConnection", "publish"]
