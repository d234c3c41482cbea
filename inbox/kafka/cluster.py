"""Ask the brokers about the cluster: its id, its topics, and where their logs begin and end."""

from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import wait
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from confluent_kafka import ConsumerGroupTopicPartitions, IsolationLevel, KafkaError, KafkaException, TopicCollection
from confluent_kafka import TopicPartition as KafkaPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec

from inbox.errors import StartupError, TryAgainError
from inbox.events import TopicPartition, milliseconds_until
from inbox.kafka.clients import made
from inbox.kafka.errors import is_forbidden, is_refusal, translate_at_startup
from inbox.kafka.options import CLIENT_ID, KafkaOptions, for_producers
from inbox.kafka.tokens import token_properties

# librdkafka asks for descriptions at the broker that the last metadata named as the controller. If that broker
# dies, only new metadata names another one. An admin client has no topics whose errors make it refresh the
# metadata early, as a consumer has.
_ADMIN = {"log_level": "0", "client.id": "kafka-inbox-admin", "topic.metadata.refresh.interval.ms": "2000"}


_NEWS_SECONDS = 0.05


@dataclass(frozen=True)
class TopicView:
    """A topic as the cluster describes it; `topic_id` is None on brokers without topic ids (KIP-516)."""

    name: str
    topic_id: UUID | None
    partitions: tuple[int, ...]

    def addresses(self) -> list[TopicPartition]:
        return [TopicPartition(self.name, number) for number in self.partitions]


class Cluster:
    """A client that asks the brokers questions; each question waits at most `timeout_seconds`.

    Raises:
        StartupError: the brokers refuse the login.
        TryAgainError: the brokers do not answer.
    """

    def __init__(self, options: KafkaOptions, *, timeout_seconds: float = 10.0) -> None:
        self.group_id = options.group_id
        self._client_id = options.properties.get("client.id", CLIENT_ID)
        self._servers = options.properties.get("bootstrap.servers", "")
        self._news = BrokerNews(encrypted="security.protocol" in options.properties)
        configuration: dict[str, Any] = {
            **for_producers(options),
            **token_properties(options),
            **_ADMIN,
            "error_cb": self._news.heard,
        }
        self._admin = made(lambda: AdminClient(configuration))
        self._timeout = timeout_seconds

    def cluster_id(self) -> str:
        """Return the cluster's id.

        Ask this question first: it reports a refusal by all brokers without waiting for the time-out.
        """
        future = self._admin.describe_cluster(request_timeout=self._timeout)
        doing = f"asking the brokers at {self._servers}"
        while not future.done():
            self._admin.poll(_NEWS_SECONDS)
            if (refusal := self._news.refusal) is not None:
                raise translate_at_startup(KafkaException(refusal), doing)
        try:
            return str(answer(future, doing, self._timeout).cluster_id)
        except TryAgainError as error:
            raise self._news.added_to(error) from None

    def topics(self, names: Sequence[str]) -> Mapping[str, TopicView]:
        """Return the topics of these names that exist; missing topics are left out."""
        return self.ask_topics(names).result(self._timeout)

    def ask_topics(self, names: Sequence[str]) -> "TopicsAnswer":
        """Ask for `topics` without waiting: the answer arrives while the caller does something else."""
        self._admin.poll(0)  # unserved callbacks of librdkafka would pile up while the brokers are away
        return TopicsAnswer(self._admin.describe_topics(TopicCollection(list(names)), request_timeout=self._timeout))

    def topic_names(self) -> list[str]:
        """Return the names of the topics that this user may see, without Kafka's own."""
        listed = self._admin.list_topics(timeout=self._timeout)
        return sorted(name for name in listed.topics if not name.startswith("__"))

    def missing_rights(self, topics: Sequence[str]) -> list[str]:
        """Return a sentence for each right that this user certainly lacks.

        Rights that the brokers do not report are skipped.
        """
        asked = {"request_timeout": self._timeout, "include_authorized_operations": True}
        of_topics = self._admin.describe_topics(TopicCollection(list(topics)), **asked) if topics else {}
        of_group = self._admin.describe_consumer_groups([self.group_id], **asked)
        lacking = [f"topic {name}" for name, future in of_topics.items() if self._may_not_read(future)]
        lacking += [f"group {name}" for name, future in of_group.items() if self._may_not_read(future)]
        return [f"this user lacks READ on {resource}; grant it (kafka-acls --operation Read)" for resource in lacking]

    def _may_not_read(self, future: Any) -> bool:
        try:
            allowed = future.result(timeout=self._timeout + 5).authorized_operations
        except KafkaException as error:
            return is_forbidden(error.args[0])
        return bool(allowed) and not {"READ", "ALL"} & {operation.name for operation in allowed}

    def log_starts(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return self._offsets(partitions, OffsetSpec.earliest())  # type: ignore[no-untyped-call]

    def stable_ends(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the last stable offset of each partition: the end of its log as `read_committed` sees it."""
        return self._offsets(partitions, OffsetSpec.latest())  # type: ignore[no-untyped-call]

    def high_watermarks(self, partitions: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the end of each partition's log, including the records of open transactions."""
        return self._offsets(partitions, OffsetSpec.latest(), IsolationLevel.READ_UNCOMMITTED)  # type: ignore[no-untyped-call]

    def compacted(self, topics: Sequence[str]) -> set[str]:
        """Return the topics from whose logs compaction may have removed records (`cleanup.policy`)."""
        asked = [ConfigResource(ConfigResource.Type.TOPIC, name) for name in topics]
        futures = self._admin.describe_configs(asked, request_timeout=self._timeout) if asked else {}
        policies = {
            resource.name: answer(future, f"asking for the configuration of topic {resource.name}", self._timeout)
            for resource, future in futures.items()
        }
        return {name for name, configured in policies.items() if "compact" in configured["cleanup.policy"].value}

    def creates_topics(self) -> bool | None:
        """Return whether the brokers create a topic that a producer asks for; None if this user may not know."""
        described = answer(
            self._admin.describe_cluster(request_timeout=self._timeout), "asking for the brokers", self._timeout
        )
        asked = [ConfigResource(ConfigResource.Type.BROKER, str(node.id)) for node in described.nodes]
        found = []
        for future in self._admin.describe_configs(asked, request_timeout=self._timeout).values():
            try:
                configured = answer(future, "asking for the brokers' configuration", self._timeout)
            except StartupError:
                return None
            found.append(configured["auto.create.topics.enable"].value == "true")
        return all(found)

    def offsets_at(self, partitions: Sequence[TopicPartition], time: datetime) -> dict[TopicPartition, int]:
        """Return each partition's first offset at or after `time`; the end of its log if no record is that young."""
        # Ask for the ends first: a record that arrives between the two questions is then behind the end, not
        # before it.
        ends = self.stable_ends(partitions)
        found = self._offsets(partitions, OffsetSpec.for_timestamp(milliseconds_until(time)))
        return {partition: offset if offset >= 0 else ends[partition] for partition, offset in found.items()}

    def group_offsets(self, partitions: Sequence[TopicPartition]) -> dict[TopicPartition, int]:
        """Return the offsets that the group has committed; partitions without a committed offset are left out."""
        asked = ConsumerGroupTopicPartitions(self.group_id, [KafkaPartition(*p) for p in partitions])
        future = self._admin.list_consumer_group_offsets([asked], request_timeout=self._timeout)[self.group_id]
        offsets = answer(future, f"asking for the offsets of group {self.group_id}", self._timeout)
        return {TopicPartition(p.topic, p.partition): p.offset for p in offsets.topic_partitions if p.offset >= 0}

    def foreign_members(self) -> int:
        """Return how many members of the group do not belong to this sink, judged by their client id."""
        future = self._admin.describe_consumer_groups([self.group_id], request_timeout=self._timeout)[self.group_id]
        members = answer(future, f"asking for the members of group {self.group_id}", self._timeout).members
        return sum(member.client_id != self._client_id for member in members)

    def _offsets(
        self,
        partitions: Iterable[TopicPartition],
        spec: OffsetSpec,
        isolation: IsolationLevel = IsolationLevel.READ_COMMITTED,
    ) -> dict[TopicPartition, int]:
        asked = {KafkaPartition(*p): spec for p in partitions}
        if not asked:
            return {}
        futures = self._admin.list_offsets(asked, isolation_level=isolation, request_timeout=self._timeout)
        return {
            TopicPartition(p.topic, p.partition): answer(
                future, f"asking for offsets of {p.topic}", self._timeout
            ).offset
            for p, future in futures.items()
        }


class BrokerNews:
    """A collector of librdkafka's error callbacks.

    A request to unreachable brokers only reports a time-out; the callbacks say why. `encrypted`: a security
    protocol is configured, so a connection that the brokers close is no hint that they expect TLS.
    """

    def __init__(self, *, encrypted: bool) -> None:
        self._encrypted = encrypted
        self._last: KafkaError | None = None
        self._all_down = False

    def heard(self, error: KafkaError) -> None:
        if error.code() == KafkaError._ALL_BROKERS_DOWN:
            self._all_down = True
        elif self._last is None or not is_refusal(self._last):
            self._last = error

    @property
    def refusal(self) -> KafkaError | None:
        """Return why no broker lets this client in; None as long as one might."""
        return self._last if self._all_down and self._last is not None and is_refusal(self._last) else None

    def added_to(self, error: TryAgainError) -> TryAgainError:
        if self._last is not None:
            error.args = (f"{error}; last heard: {self._last.str()}",)
        elif self._all_down and not self._encrypted:
            error.args = (
                f"{error}; they close the connection without an answer, as brokers that expect TLS do; "
                "check [kafka] security.protocol",
            )
        return error


class TopicsAnswer:
    """The pending answer to a question about topics."""

    def __init__(self, futures: Mapping[str, Any]) -> None:
        self._futures = futures

    def is_here(self) -> bool:
        return all(future.done() for future in self._futures.values())

    def is_here_within(self, seconds: float) -> bool:
        """Return whether the brokers have answered, after a wait of at most this long."""
        return not wait(self._futures.values(), timeout=seconds).not_done

    def result(self, seconds: float) -> Mapping[str, TopicView]:
        """Return the topics that exist.

        Raises:
            StartupError: the brokers refuse to answer.
            TryAgainError: the brokers do not answer within the time.
        """
        found = {}
        for name, future in self._futures.items():
            try:
                described = answer(future, f"describing topic {name}", seconds)
            except _NoSuchTopicError:
                continue
            found[name] = TopicView(name, _uuid(described.topic_id), tuple(sorted(p.id for p in described.partitions)))
        return found


def answer(future: Any, doing: str, seconds: float) -> Any:
    """Return the future's result.

    Waits one second longer than `seconds`, because librdkafka's own time-out comes first and says more.

    Raises:
        StartupError: the brokers refuse to answer.
        TryAgainError: the brokers do not answer within the time.
    """
    try:
        return future.result(timeout=seconds + 1)
    except TimeoutError:
        raise TryAgainError(f"{doing}: no answer within {seconds:g} s", away="kafka", reason="brokers") from None
    except KafkaException as error:
        if error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            raise _NoSuchTopicError from None
        raise translate_at_startup(error, doing) from None


class _NoSuchTopicError(StartupError):
    def __init__(self) -> None:
        super().__init__("a topic went away while it was being described; check [[routes]] topic")


def _uuid(topic_id: Any) -> UUID | None:
    if topic_id is None:
        return None
    high = topic_id.get_most_significant_bits() & (2**64 - 1)
    low = topic_id.get_least_significant_bits() & (2**64 - 1)
    value = (high << 64) | low
    return UUID(int=value) if value else None
