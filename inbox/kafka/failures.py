"""What a Kafka error means, in one table."""

from confluent_kafka import KafkaError, KafkaException

from inbox.errors import HaltError, InboxError, StartupError, TryAgainError

_HALT = {
    KafkaError.OFFSET_OUT_OF_RANGE: "the log no longer has the offset that the ledger expects",
    KafkaError._AUTO_OFFSET_RESET: "the log no longer has the offset that the ledger expects",
    KafkaError._LOG_TRUNCATION: "the log was truncated below the ledger",
    KafkaError.FENCED_INSTANCE_ID: "another member of the group uses the same group.instance.id",
}
_REFUSED = {
    KafkaError._AUTHENTICATION,
    KafkaError.SASL_AUTHENTICATION_FAILED,
    KafkaError.UNSUPPORTED_SASL_MECHANISM,
    KafkaError._SSL,
}
_FORBIDDEN = {
    KafkaError.TOPIC_AUTHORIZATION_FAILED: "grant this user READ on the topic",
    KafkaError.GROUP_AUTHORIZATION_FAILED: "grant this user READ on the group",
    KafkaError.CLUSTER_AUTHORIZATION_FAILED: "grant this user DESCRIBE on the cluster",
}


def translated(error: KafkaError, doing: str) -> InboxError:
    """The error of ours that says what follows from `error`; `doing` is what was tried, as a clause.

    A refused login is a TryAgainError here: after the start it is an outage, since rights come back.
    """
    if (why := _HALT.get(error.code())) is not None:
        return HaltError(f"{doing}: {why} ({error.name()}); see `inbox status`, then decide with `inbox resume`")
    return TryAgainError(f"{doing}: {error.str()} ({error.name()})")


def at_start(error: KafkaException, doing: str) -> InboxError:
    """As `translated`, but what is refused is a StartupError: waiting mends no password and grants no right."""
    cause: KafkaError = error.args[0]
    if cause.code() in _REFUSED:
        return StartupError(f"{doing}: {cause.str()} ({cause.name()}); check [kafka] security.protocol and sasl.*")
    if is_forbidden(cause):
        return StartupError(f"{doing}: {cause.str()} ({cause.name()}); {_FORBIDDEN[cause.code()]}")
    return translated(cause, doing)


def is_forbidden(error: KafkaError) -> bool:
    """Whether the brokers say that this user may not."""
    return error.code() in _FORBIDDEN
