"""Which messages may share the way to the brokers with others: pure, no I/O.

A broker takes a producer's messages of a partition by their sequence numbers, so none passes one that was refused. But
of a producer that it does not know in that partition yet it takes any number as the first (Apache Kafka,
`ProducerAppendInfo.checkSequence`): the second message could arrive although the first was refused. So the first to
each partition goes alone. Which partition a key belongs to is known once a message with it was delivered; and any key
goes to a known one once all partitions of its topic are known.
"""

FORGET_SECONDS = 600.0
"""Brokers forget a producer that was silent for `producer.id.expiration.ms`, a day by default; begin again before."""

_MOST_KEYS = 10_000


class FirstSteps:
    """What one producer has been delivered to."""

    def __init__(self) -> None:
        self._partitions: dict[str, int] = {}
        self._known: dict[str, set[int]] = {}
        self._keys: dict[str, set[str]] = {}
        self._since = 0.0

    def has(self, topic: str) -> bool:
        return topic in self._partitions

    def add(self, topic: str, partitions: int) -> None:
        """The topic exists, with so many partitions."""
        self._partitions[topic] = partitions

    def may_share(self, topic: str, key: str, now: float) -> bool:
        """Whether the partition of this key is certainly one that the brokers know this producer in."""
        if now - self._since >= FORGET_SECONDS:
            self._known.clear()
            self._keys.clear()
            self._since = now
        known = self._known.get(topic, ())
        return len(known) >= self._partitions.get(topic, 1) or key in self._keys.get(topic, ())

    def delivered(self, topic: str, key: str, partition: int) -> None:
        known = self._known.setdefault(topic, set())
        if len(known) >= self._partitions.get(topic, 1):
            return
        known.add(partition)
        keys = self._keys.setdefault(topic, set())
        if len(keys) < _MOST_KEYS:
            keys.add(key)
