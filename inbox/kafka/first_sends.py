"""Decide which messages may be in flight together with others: pure, no I/O.

A broker accepts a producer's messages of a partition by their sequence numbers, so no message passes one that
was refused. But if the broker does not know the producer in that partition yet, it accepts any number as the
first (Apache Kafka, `ProducerAppendInfo.checkSequence`): the second message could arrive although the first was
refused. So the first message to each partition is sent alone. The partition of a key is known once a message
with that key was delivered. Once all partitions of a topic are known, every key of the topic goes to a known
one.
"""

FORGET_SECONDS = 600.0
"""Brokers forget a silent producer after `producer.id.expiration.ms`, a day by default; start over before that."""

_MOST_KEYS = 10_000


class FirstSends:
    """The partitions and keys that one producer has delivered to."""

    def __init__(self) -> None:
        self._partitions: dict[str, int] = {}
        self._known: dict[str, set[int]] = {}
        self._keys: dict[str, set[str | bytes | None]] = {}
        self._since = 0.0

    def has(self, topic: str) -> bool:
        return topic in self._partitions

    def add(self, topic: str, partitions: int) -> None:
        """Record that the topic exists and has this many partitions."""
        self._partitions[topic] = partitions

    def may_share(self, topic: str, key: str, now: float) -> bool:
        """Return whether the brokers certainly know this producer in the partition of this key."""
        if now - self._since >= FORGET_SECONDS:
            self._known.clear()
            self._keys.clear()
            self._since = now
        known = self._known.get(topic, ())
        return len(known) >= self._partitions.get(topic, 1) or key in self._keys.get(topic, ())

    def delivered(self, topic: str, key: str | bytes | None, partition: int) -> None:
        known = self._known.setdefault(topic, set())
        if len(known) >= self._partitions.get(topic, 1):
            return
        known.add(partition)
        keys = self._keys.setdefault(topic, set())
        if len(keys) < _MOST_KEYS:
            keys.add(key)
