"""Send events as CloudEvents in binary mode: their attributes are headers, and the value is the data.

The headers `event_id` and `type` stay, so that a consumer that reads them keeps working.
"""

from inbox.relay.producer import Headers, Producer, ProducerAround


class CloudEventsProducer(ProducerAround):
    """A producer that adds the attributes of a CloudEvent to the headers of each message.

    `source` is the attribute of that name. `content_type` is that of the data; None if it is unknown.
    """

    def __init__(self, producer: Producer, source: str, content_type: str | None) -> None:
        super().__init__(producer)
        self._fixed: Headers = [("ce_specversion", "1.0"), ("ce_source", source)]
        self._content: Headers = [] if content_type is None else [("content-type", content_type)]

    def send(self, token: int, topic: str, key: str | bytes | None, value: bytes | None, headers: Headers) -> None:
        """Send the message as a CloudEvent. The copy of a dead letter, whose key is bytes or None, stays as it is."""
        if not isinstance(key, str):
            super().send(token, topic, key, value, headers)
            return
        own = dict(headers)
        given = [("ce_id", own["event_id"]), ("ce_type", own["type"])]
        content = self._content if value is not None else []
        super().send(token, topic, key, value, [*self._fixed, *given, *content, *headers])
