"""The meaning of each Kafka error, in one table.

Source: "Error codes" in the Kafka protocol guide, and librdkafka's own codes in rdkafka.h, which begin with
`_`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum

from confluent_kafka import KafkaError, KafkaException

from inbox.errors import HaltError, InboxError, LostOffsetError, StartupError, TryAgainError, UnreadableError
from inbox.events import TopicPartition

_AGREES_UNTIL = re.compile(r"(?:truncation detected|No epoch found) .*broker end offset is (-?\d+)")
"""librdkafka's text for the broker's answer about the ledger's leader epoch (`rdkafka_offset.c`)."""


class KafkaConsequence(Enum):
    """The reaction of a running sink, in the words of docs/reference/errors.md."""

    WAIT = "waits"
    ALERT = "waits, and needs an operator"
    HALT = "stops with exit 4"


@dataclass(frozen=True)
class KafkaErrorMeaning:
    """The meaning of some errors; `reason` is the word for it in logs."""

    what: str
    consequence: KafkaConsequence
    reason: str
    remedy: str = ""


_NO_BROKER = KafkaErrorMeaning("no broker answers", KafkaConsequence.WAIT, "brokers")
_NO_LEADER = KafkaErrorMeaning("a partition has no leader, or a new one", KafkaConsequence.WAIT, "leader")
_NO_COORDINATOR = KafkaErrorMeaning("the group has no coordinator, or a new one", KafkaConsequence.WAIT, "coordinator")
_REJOINING = KafkaErrorMeaning("the group is rebalancing", KafkaConsequence.WAIT, "group")
_LOGIN = KafkaErrorMeaning(
    "login refused", KafkaConsequence.ALERT, "login", "check [kafka] security.protocol and sasl.*"
)
_TLS = KafkaErrorMeaning(
    "the TLS handshake failed",
    KafkaConsequence.ALERT,
    "login",
    "check [kafka] ssl.* and the brokers' certificate: its authority, its dates, the host that it names",
)
_NO_TOPIC = KafkaErrorMeaning(
    "the topic or partition is gone",
    KafkaConsequence.ALERT,
    "topic",
    "restore it (a recreated topic stops the sink: see `inbox resume`)",
)
_LOG_GONE = KafkaErrorMeaning(
    "the log no longer has the offset that the ledger expects",
    KafkaConsequence.HALT,
    "log",
    "see `inbox status`, then decide with `inbox resume`",
)
_UNREADABLE = KafkaErrorMeaning(
    "the log cannot be read there",
    KafkaConsequence.HALT,
    "unreadable",
    "look at the broker's disk and restore the log from a replica; `inbox resume` gives up what cannot be read",
)
_UNDECOMPRESSED = replace(
    _UNREADABLE,
    remedy="if the batch is intact, it is larger than [kafka] receive.message.max.bytes once it is decompressed: raise "
    "that and start again, which loses nothing; otherwise " + _UNREADABLE.remedy,
)
_SAME_INSTANCE = KafkaErrorMeaning(
    "another member of the group uses the same group.instance.id",
    KafkaConsequence.HALT,
    "group",
    "give each worker a group.instance.id of its own",
)
_FATAL = KafkaErrorMeaning(
    "librdkafka does not continue with this client",
    KafkaConsequence.HALT,
    "fatal",
    "fix what the error names, then start again",
)
_REFUSED_BY_GROUP = KafkaErrorMeaning(
    "the group does not take this member",
    KafkaConsequence.ALERT,
    "group",
    "compare [kafka] with the group's other members",
)

MEANINGS: Mapping[int, KafkaErrorMeaning] = {
    KafkaError._ALL_BROKERS_DOWN: _NO_BROKER,
    KafkaError._TRANSPORT: _NO_BROKER,
    KafkaError._RESOLVE: _NO_BROKER,
    KafkaError._TIMED_OUT: _NO_BROKER,
    KafkaError.BROKER_NOT_AVAILABLE: _NO_BROKER,
    KafkaError.REQUEST_TIMED_OUT: _NO_BROKER,
    KafkaError.NETWORK_EXCEPTION: _NO_BROKER,
    KafkaError.LEADER_NOT_AVAILABLE: _NO_LEADER,
    KafkaError.NOT_LEADER_FOR_PARTITION: _NO_LEADER,
    KafkaError.REPLICA_NOT_AVAILABLE: _NO_LEADER,
    KafkaError.FENCED_LEADER_EPOCH: _NO_LEADER,
    KafkaError.UNKNOWN_LEADER_EPOCH: _NO_LEADER,
    KafkaError.OFFSET_NOT_AVAILABLE: _NO_LEADER,
    KafkaError.KAFKA_STORAGE_ERROR: _NO_LEADER,
    KafkaError.COORDINATOR_NOT_AVAILABLE: _NO_COORDINATOR,
    KafkaError.COORDINATOR_LOAD_IN_PROGRESS: _NO_COORDINATOR,
    KafkaError.NOT_COORDINATOR: _NO_COORDINATOR,
    KafkaError._WAIT_COORD: _NO_COORDINATOR,
    KafkaError.REBALANCE_IN_PROGRESS: _REJOINING,
    KafkaError.ILLEGAL_GENERATION: _REJOINING,
    KafkaError.UNKNOWN_MEMBER_ID: _REJOINING,
    KafkaError._ASSIGNMENT_LOST: _REJOINING,
    KafkaError._MAX_POLL_EXCEEDED: KafkaErrorMeaning(
        "the sink did not poll within max.poll.interval.ms",
        KafkaConsequence.ALERT,
        "group",
        "look at the machine's load",
    ),
    KafkaError.INCONSISTENT_GROUP_PROTOCOL: _REFUSED_BY_GROUP,
    KafkaError.INVALID_SESSION_TIMEOUT: _REFUSED_BY_GROUP,
    KafkaError.GROUP_MAX_SIZE_REACHED: _REFUSED_BY_GROUP,
    KafkaError._AUTHENTICATION: _LOGIN,
    KafkaError.SASL_AUTHENTICATION_FAILED: _LOGIN,
    KafkaError.UNSUPPORTED_SASL_MECHANISM: _LOGIN,
    KafkaError._SSL: _TLS,
    KafkaError.TOPIC_AUTHORIZATION_FAILED: KafkaErrorMeaning(
        "right on the topic revoked", KafkaConsequence.ALERT, "right", "grant this user READ on the topic"
    ),
    KafkaError.GROUP_AUTHORIZATION_FAILED: KafkaErrorMeaning(
        "right on the group revoked", KafkaConsequence.ALERT, "right", "grant this user READ on the group"
    ),
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: KafkaErrorMeaning(
        "right on the cluster revoked", KafkaConsequence.ALERT, "right", "grant this user DESCRIBE on the cluster"
    ),
    KafkaError.UNKNOWN_TOPIC_OR_PART: _NO_TOPIC,
    KafkaError._UNKNOWN_TOPIC: _NO_TOPIC,
    KafkaError._UNKNOWN_PARTITION: _NO_TOPIC,
    KafkaError.OFFSET_OUT_OF_RANGE: _LOG_GONE,
    KafkaError._AUTO_OFFSET_RESET: _LOG_GONE,
    KafkaError._LOG_TRUNCATION: _LOG_GONE,
    KafkaError._BAD_MSG: _UNREADABLE,
    KafkaError._BAD_COMPRESSION: _UNDECOMPRESSED,
    KafkaError._NOT_IMPLEMENTED: _UNREADABLE,
    KafkaError._UNDERFLOW: _UNREADABLE,
    KafkaError._PARTIAL: _UNREADABLE,
    KafkaError.INVALID_MSG: _UNREADABLE,
    KafkaError.INVALID_MSG_SIZE: _UNREADABLE,
    KafkaError.INVALID_RECORD: _UNREADABLE,
    KafkaError.UNSUPPORTED_COMPRESSION_TYPE: _UNREADABLE,
    KafkaError.MSG_SIZE_TOO_LARGE: KafkaErrorMeaning(
        "an event is larger than this client may fetch",
        KafkaConsequence.ALERT,
        "size",
        "raise [kafka] receive.message.max.bytes above the topic's max.message.bytes",
    ),
    KafkaError._CRIT_SYS_RESOURCE: KafkaErrorMeaning(
        "this process has no memory to unpack a batch", KafkaConsequence.ALERT, "memory", "raise the memory limit"
    ),
    KafkaError.FENCED_INSTANCE_ID: _SAME_INSTANCE,
    KafkaError._FATAL: _FATAL,
}

UNKNOWN = KafkaErrorMeaning("any other", KafkaConsequence.ALERT, "unknown", "look the error up, and fix what it names")


def meaning_of(code: int) -> KafkaErrorMeaning:
    """Return the row of the table for an error's code."""
    return MEANINGS.get(code, UNKNOWN)


def translate(error: KafkaError, doing: str) -> InboxError:
    """Return the project's error for `error`; `doing` is a clause that says what was tried.

    A refused login is a TryAgainError here: after the start it is an outage, since rights can be granted again.
    """
    meaning = _meaning(error)
    if is_unreadable(error):
        return UnreadableError(f"{doing}: {_what_is_unreadable(error)}")
    if meaning is _LOG_GONE:
        found = _AGREES_UNTIL.search(error.str())
        return LostOffsetError(
            f"{doing}: {meaning.what} ({error.name()}); {meaning.remedy}",
            agrees_until=max(0, int(found[1])) if found else None,
        )
    if meaning.consequence is KafkaConsequence.HALT:
        seen = error.str() if meaning is _FATAL else error.name()
        return HaltError(f"{doing}: {meaning.what} ({seen}); {meaning.remedy}")
    text, alert = f"{doing}: {error.str()} ({error.name()})", meaning.consequence is KafkaConsequence.ALERT
    return TryAgainError(
        f"{text}; {meaning.remedy}" if alert else text, away="kafka", reason=meaning.reason, alert=alert
    )


def is_unreadable(error: KafkaError) -> bool:
    """Return whether the error says that something in the log cannot be read."""
    return meaning_of(error.code()).reason == _UNREADABLE.reason


def unreadable(error: KafkaError, at: TopicPartition, offset: int) -> UnreadableError:
    """Return the project's error for a record at a known offset that cannot be read."""
    return UnreadableError(f"reading {at}@{offset}: {_what_is_unreadable(error)}", at=at, offset=offset)


def _what_is_unreadable(error: KafkaError) -> str:
    return f"{_UNREADABLE.what} ({error.name()}: {error.str()}); {meaning_of(error.code()).remedy}"


def _meaning(error: KafkaError) -> KafkaErrorMeaning:
    """Return the row of the table for an error; librdkafka reports the cause of a fatal error only in its text."""
    if is_alert(error):
        return _TLS
    meaning = meaning_of(error.code())
    if meaning is UNKNOWN and error.fatal():
        meaning = _FATAL
    fenced = error.code() == KafkaError.FENCED_INSTANCE_ID or "group.instance.id" in error.str()
    return _SAME_INSTANCE if meaning is _FATAL and fenced else meaning


def translate_at_startup(error: KafkaException, doing: str) -> InboxError:
    """Return the error as `translate` does, but a refusal as a StartupError.

    Waiting fixes no password and grants no right.
    """
    cause: KafkaError = error.args[0]
    if is_refusal(cause):
        return StartupError(str(translate(cause, doing)))
    return waits(cause, doing) if is_unreadable(cause) else translate(cause, doing)


def waits(error: KafkaError, doing: str) -> TryAgainError:
    """Return the error as a TryAgainError, for callers that read no log and so lose nothing by waiting."""
    failure = translate(error, doing)
    if isinstance(failure, TryAgainError):
        return failure
    text = f"{doing}: {error.str()} ({error.name()}); {UNKNOWN.remedy}"
    return TryAgainError(text, away="kafka", reason=UNKNOWN.reason, alert=True)


def is_refusal(error: KafkaError) -> bool:
    """Return whether the brokers refuse this client's connection, login or request."""
    return is_alert(error) or meaning_of(error.code()) in (_LOGIN, _TLS) or is_forbidden(error)


def is_alert(error: KafkaError) -> bool:
    """Return whether a broker ended the handshake with a TLS alert, which librdkafka reports as a lost connection."""
    return error.code() == KafkaError._TRANSPORT and "SSL alert" in error.str()


def is_forbidden(error: KafkaError) -> bool:
    """Return whether the brokers report that this user lacks a right."""
    return meaning_of(error.code()).reason == "right"
