"""Judge whether a topic's settings are safe for publishing into it: the judgement is pure."""

from dataclasses import dataclass
from typing import Any, NamedTuple

from confluent_kafka import KafkaException, TopicCollection
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource

from inbox.errors import StartupError
from inbox.kafka.clients import made
from inbox.kafka.cluster import answer
from inbox.kafka.errors import is_forbidden
from inbox.kafka.options import PRODUCER_DEFAULTS, KafkaOptions, for_producers
from inbox.kafka.tokens import token_properties


@dataclass(frozen=True, kw_only=True)
class TopicLimits:
    """The settings of a topic as the brokers describe it.

    `replicas` is that of the partition with the fewest replicas; sizes are in bytes.
    """

    name: str
    replicas: int
    min_insync_replicas: int
    cleanup_policy: str
    max_message_bytes: int


class UnknownLimitsError(Exception):
    """Raised when the brokers do not tell this user the topic's settings."""


class Remark(NamedTuple):
    """A setting that is not as it should be; `stops`: events cannot be sent, or not all of them."""

    stops: bool
    text: str


def judged(terms: TopicLimits, *, batch_bytes: int, largest_bytes: int) -> list[Remark]:
    """Return the obstacles to publishing into the topic safely, each with its remedy.

    `batch_bytes` is the size of the producer's batch, `largest_bytes` that of the largest waiting payload.
    """
    name, copies, needed = terms.name, terms.replicas, terms.min_insync_replicas
    remarks = []
    if needed > copies:
        text = f"{name} wants {needed} in-sync replicas and has {copies}; lower min.insync.replicas or add replicas"
        remarks.append(Remark(True, text))
    elif copies == 1:
        text = f"{name} has one replica, so an event is on one disk alone; 3 replicas, min.insync.replicas=2"
        remarks.append(Remark(False, text))
    elif needed == 1:
        text = f"{name} acknowledges what one replica has, so acks=all may lose an event; set min.insync.replicas=2"
        remarks.append(Remark(False, text))
    elif needed == copies:
        text = f"{name} takes nothing while one of its {copies} brokers is away; set min.insync.replicas={copies - 1}"
        remarks.append(Remark(False, text))
    if "compact" in terms.cleanup_policy:
        text = f"{name} is compacted: a later reader, or a replay, misses events; set cleanup.policy=delete"
        remarks.append(Remark(False, text))
    if terms.max_message_bytes < batch_bytes:
        text = (
            f"{name} takes {terms.max_message_bytes} bytes at once and a batch may have {batch_bytes}; "
            'raise max.message.bytes, or lower [kafka] "batch.size" below it'
        )
        remarks.append(Remark(True, text))
    if largest_bytes > terms.max_message_bytes:
        text = f"{name} takes {terms.max_message_bytes} bytes and an event has {largest_bytes}; raise max.message.bytes"
        remarks.append(Remark(True, text))
    return remarks


def batch_bytes(options: KafkaOptions) -> int:
    return int(options.properties.get("batch.size", PRODUCER_DEFAULTS["batch.size"][0]))


class PublishingTopics:
    """A client that asks the brokers about topics; each question waits at most `timeout_seconds`."""

    def __init__(self, options: KafkaOptions, *, timeout_seconds: float) -> None:
        configuration: dict[str, Any] = {
            **for_producers(options),
            **token_properties(options),
            "log_level": "0",
            "client.id": "kafka-inbox-admin",
        }
        self._admin = made(lambda: AdminClient(configuration))
        self._timeout = timeout_seconds

    def limits(self, name: str, *, by_this_user: bool = True) -> TopicLimits:
        """Return the topic's settings; `by_this_user`: this user is the one who publishes into it.

        Raises:
            StartupError: the topic does not exist, or this user may not publish into it.
            UnknownTermsError: this user may not read the topic's configuration, which publishing does not need.
        """
        described = self._described(name)
        allowed = {operation.name for operation in described.authorized_operations or ()}
        if by_this_user and allowed and not {"WRITE", "ALL"} & allowed:
            raise StartupError(f"this user lacks WRITE on topic {name}; grant it (kafka-acls --operation Write)")
        asked = ConfigResource(ConfigResource.Type.TOPIC, name)
        future = self._admin.describe_configs([asked], request_timeout=self._timeout)[asked]
        try:
            config = answer(future, f"asking for the configuration of topic {name}", self._timeout)
        except StartupError:
            raise UnknownLimitsError(
                f"this user lacks DESCRIBE_CONFIGS on topic {name}, so its replication and its limits are not known; "
                "grant it (kafka-acls --operation DescribeConfigs), or look at min.insync.replicas and "
                "max.message.bytes yourself"
            ) from None
        return TopicLimits(
            name=name,
            replicas=min(len(partition.replicas) for partition in described.partitions),
            min_insync_replicas=int(config["min.insync.replicas"].value),
            cleanup_policy=config["cleanup.policy"].value,
            max_message_bytes=int(config["max.message.bytes"].value),
        )

    def _described(self, name: str) -> Any:
        future = self._admin.describe_topics(
            TopicCollection([name]), include_authorized_operations=True, request_timeout=self._timeout
        )[name]
        try:
            return future.result(timeout=self._timeout + 1)
        except KafkaException as error:
            if is_forbidden(error.args[0]):
                raise StartupError(f"this user lacks DESCRIBE on topic {name}; grant it") from None
            raise StartupError(f"topic {name}: {error.args[0].str()}; create it, with the partitions to stay") from None
