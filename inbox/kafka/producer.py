"""Send the outbox's events in order, each until the brokers have it on every in-sync replica.

A stream without holes keeps the order of an aggregate over crashes and repetitions: a producer that sends an event has
sent all before it. So
- no message ever expires (`message.timeout.ms=0`);
- if the brokers refuse a message, the producer stops there (`enable.gapless.guarantee`, librdkafka's INTRODUCTION.md,
  "Idempotent Producer") and is discarded with everything behind that message;
- the first message to a partition is sent alone (`inbox.kafka.first_sends`);
- a topic is looked up before anything is sent to it: librdkafka fails the messages to a topic that it does not find,
  and would send later ones once the topic exists.
"""

import logging
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message, Producer

from inbox.errors import InboxError, TryAgainError
from inbox.kafka.clients import ended_within, error_of, made
from inbox.kafka.errors import KafkaConsequence, meaning_of, waits
from inbox.kafka.first_sends import FirstSends
from inbox.kafka.options import PRODUCER_DEFAULTS, PRODUCER_GUARDED, KafkaOptions, for_producers
from inbox.kafka.tokens import token_properties
from inbox.telemetry import Outage

Delivered = Callable[[int, int, int], None]
"""Called with the token of a message, its partition and its offset."""

_TOPIC_SECONDS = 10.0
_QUEUE_MESSAGES = 1_000_000
_TRANSACTION_SECONDS, _ABORT_SECONDS = 10.0, 3.0
_FENCED = (KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH)
_PURGED = (KafkaError._PURGE_QUEUE, KafkaError._PURGE_INFLIGHT)
_REPORT_TRIES, _REPORT_SECONDS = 10, 0.1
_END_SECONDS = 5.0

_SILENT = logging.getLogger("inbox.kafka.producer.librdkafka")
_SILENT.disabled = True
"""A disabled logger: the errors that librdkafka returns say what it would log."""


class EventProducer:
    """An idempotent producer, which calls `delivered` from within `poll`.

    Raises:
        StartupError: librdkafka refuses the properties.
    """

    in_transactions = False

    def __init__(self, options: KafkaOptions, delivered: Delivered) -> None:
        self._outage = Outage()
        self._delivered = delivered
        self._failure: InboxError | None = None
        self._fatal: KafkaError | None = None
        self._purged: KafkaError | None = None
        self._discarded = False
        self._first_steps = FirstSends()
        configuration = {**self._properties(options), "error_cb": self._on_error}
        self._producer = made(lambda: Producer(configuration, logger=_SILENT))

    def _properties(self, options: KafkaOptions) -> dict[str, Any]:
        return producer_properties(options)

    def may_share(self, topic: str, key: str) -> bool:
        """Return whether a message may be in flight together with earlier and later ones.

        Raises:
            TryAgainError: the topic does not exist, or the brokers do not answer.
        """
        if not self._first_steps.has(topic):
            self._find(topic)
        return self._first_steps.may_share(topic, key, time.monotonic())

    def send(
        self,
        token: int,
        topic: str,
        key: str | bytes | None,
        value: bytes | None,
        headers: list[tuple[str, str | bytes | None]],
    ) -> None:
        """Queue a message; it is sent in the background.

        Raises:
            TryAgainError: the message is too large.
        """
        while True:
            try:
                self._producer.produce(
                    topic, value, key, headers=headers, on_delivery=partial(self._on_delivery, token, key)
                )
                return
            except BufferError:
                self.poll(0.1)
            except KafkaException as error:
                raise _refused(error.args[0], topic) from None

    def poll(self, seconds: float) -> None:
        """Handle delivery reports; wait at most `seconds` for the first.

        Raises:
            TryAgainError: a message was refused; discard this producer, for no later message may pass it.
        """
        self._serve(seconds)
        if self._failure is not None or self._fatal is not None or self._purged is not None:
            raise self._stopped_by()

    def begin(self) -> None:
        """Begin a transaction, if this producer has transactions."""

    def commit(self) -> None:
        """Commit the transaction, if this producer has transactions."""

    def discard(self) -> None:
        """Drop what was not sent yet and end the client; the brokers keep what they have by now."""
        self._discarded = True
        self._outage.close()
        self._producer.purge(in_queue=True, in_flight=True, blocking=False)
        ended_within(_END_SECONDS, self._end_client)

    def _end_client(self) -> None:
        """End the client by dropping its last reference; the report of each dropped message holds a reference too."""
        error_of(lambda: self._producer.flush(_END_SECONDS))
        del self._producer

    def _serve(self, seconds: float) -> None:
        error = error_of(lambda: self._producer.poll(seconds))
        self._fatal = self._fatal or error

    def _stopped_by(self) -> InboxError:
        """Return the error of the refused message; its report follows librdkafka's news that the producer stopped."""
        for _ in range(_REPORT_TRIES):
            if self._failure is not None:
                break
            self._serve(_REPORT_SECONDS)
        return self._failure or self._failed(
            self._fatal or self._purged or KafkaError(KafkaError._FAIL), "sending the outbox"
        )

    def _failed(self, error: KafkaError, doing: str) -> TryAgainError:
        return waits(error, doing)

    def _refusal(self, error: KafkaError, topic: str) -> TryAgainError:
        return _refused(error, topic)

    def _find(self, topic: str) -> None:
        try:
            found = self._producer.list_topics(topic, timeout=_TOPIC_SECONDS).topics[topic]
        except KafkaException as error:
            raise waits(error.args[0], f"asking for the topic {topic}") from None
        if found.error is not None:
            raise _refused(found.error, topic)
        self._first_steps.add(topic, len(found.partitions))

    def _on_delivery(self, token: int, key: str | bytes | None, error: KafkaError | None, message: Message) -> None:
        if self._discarded:
            return
        if error is None:
            self._outage.over()
            partition = message.partition() or 0
            self._first_steps.delivered(message.topic() or "", key, partition)
            self._delivered(token, partition, message.offset() or 0)
        elif error.code() in _PURGED:
            # A producer that stops drops its queue. The reason why it stopped is reported separately.
            self._purged = error
        elif self._failure is None:
            self._failure = self._refusal(error, str(message.topic()))

    def _on_error(self, error: KafkaError) -> None:
        if error.fatal():
            self._fatal = self._fatal or error
        elif (
            error.code() == KafkaError._ALL_BROKERS_DOWN
            or meaning_of(error.code()).consequence is KafkaConsequence.ALERT
        ):
            self._outage.seen(waits(error, "talking to the brokers"))


class TransactionalProducer(EventProducer):
    """A producer that sends each batch in a Kafka transaction.

    If anything fails in a transaction, all of it is aborted, so no message has to be sent alone.

    Raises:
        StartupError: librdkafka refuses the properties.
        TryAgainError: the brokers do not answer, or refuse this transactional.id.
    """

    in_transactions = True

    def __init__(self, options: KafkaOptions, transactional_id: str, delivered: Delivered) -> None:
        self._transactional_id = transactional_id
        self._open = False
        super().__init__(options, delivered)
        # Fence the previous user of the id, and end the transactions that it left open.
        try:
            self._in_our_words("beginning transactions", lambda: self._producer.init_transactions(_TRANSACTION_SECONDS))
        except BaseException:
            self.discard()
            raise

    def _properties(self, options: KafkaOptions) -> dict[str, Any]:
        properties = producer_properties(options)
        # In a transaction no message can pass a refused one: all are aborted.
        del properties["message.timeout.ms"], properties["enable.gapless.guarantee"]
        return {**properties, "transactional.id": self._transactional_id}

    def may_share(self, topic: str, key: str) -> bool:
        super().may_share(topic, key)
        return True

    def begin(self) -> None:
        self._in_our_words("beginning a transaction", self._producer.begin_transaction)
        self._open = True

    def commit(self) -> None:
        """Commit the batch, so that readers of committed records see it too.

        Raises:
            TryAgainError: the commit failed, or its result is unknown; discard this producer, and send the batch again.
        """
        self._in_our_words("committing a transaction", lambda: self._producer.commit_transaction(_TRANSACTION_SECONDS))
        self._open = False

    def discard(self) -> None:
        if self._open:
            # If nobody can abort it now, the next relay of this id does, or the brokers after
            # transaction.timeout.ms.
            error_of(lambda: self._producer.abort_transaction(_ABORT_SECONDS))
        super().discard()

    def _refusal(self, error: KafkaError, topic: str) -> TryAgainError:
        # A fenced producer may learn of it from the report of a message.
        return self._failed(error, f"sending to {topic}") if error.code() in _FENCED else _refused(error, topic)

    def _in_our_words(self, doing: str, action: Callable[[], object]) -> None:
        if (error := error_of(action)) is not None:
            raise self._failed(error, doing)

    def _failed(self, error: KafkaError, doing: str) -> TryAgainError:
        if error.code() not in _FENCED:
            return waits(error, doing)
        return TryAgainError(
            f"{doing}: another relay began transactions under {self._transactional_id} ({error.name()}); nothing to do "
            "if it replaced this one, but a relay of another outbox needs an [outbox] transactional_id of its own",
            away="kafka",
            reason="fenced",
            alert=True,
        )


def producer_properties(options: KafkaOptions) -> dict[str, Any]:
    """Return librdkafka's configuration: the user's properties over our defaults, the guarded ones over both."""
    return {
        **{name: value for name, (value, _) in PRODUCER_DEFAULTS.items()},
        "client.id": "kafka-inbox-relay",
        # The relay limits the queue by bytes.
        "queue.buffering.max.messages": _QUEUE_MESSAGES,
        "queue.buffering.max.kbytes": 2_097_151,
        "log_level": "0",
        **for_producers(options),
        **token_properties(options),
        **{name: value for name, (value, _) in PRODUCER_GUARDED.items()},
    }


def _refused(error: KafkaError, topic: str) -> TryAgainError:
    remedies = {
        KafkaError.MSG_SIZE_TOO_LARGE: "raise the topic's max.message.bytes, and [kafka] message.max.bytes with it",
        KafkaError.UNKNOWN_TOPIC_OR_PART: "create the topic",
        KafkaError._UNKNOWN_TOPIC: "create the topic",
        KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant this user WRITE and DESCRIBE on the topic",
    }
    if (remedy := remedies.get(error.code())) is not None:
        text = f"{error.str()} ({error.name()}); {remedy}"
        return TryAgainError(f"sending to {topic}: {text}", away="kafka", reason=f"refused {topic}", alert=True)
    return waits(error, f"sending to {topic}")
