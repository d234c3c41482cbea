"""The settings of our one-broker Kafka, the same for a local JVM and for a container."""

import uuid
from base64 import urlsafe_b64encode

KAFKA_VERSION = "4.1.0"

MEBIBYTE = 1024 * 1024
LARGEST_RECORD_BYTES = 32 * MEBIBYTE

BROKER_SETTINGS: dict[str, str] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "inter.broker.listener.name": "PLAINTEXT",
    # one broker cannot replicate
    "default.replication.factor": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # 50 partitions of each would be created at the first use, and loaded at each start
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "auto.create.topics.enable": "false",
    "message.max.bytes": str(LARGEST_RECORD_BYTES),
    "replica.fetch.max.bytes": str(LARGEST_RECORD_BYTES + MEBIBYTE),
    "replica.fetch.response.max.bytes": str(LARGEST_RECORD_BYTES + MEBIBYTE),
    # after a SIGKILL the controller makes the broker wait until the session of its earlier run has timed out
    "broker.session.timeout.ms": "2500",
    "broker.heartbeat.interval.ms": "500",
    # an aborted or forgotten transaction is found by the tests in seconds, not in a minute
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}


def new_cluster_id() -> str:
    """Return a random cluster id as Kafka makes them: 16 bytes, URL-safe base64 without padding.

    The id never begins with `-`, which `StorageTool format` takes for an option.
    """
    while True:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not cluster_id.startswith("-"):
            return cluster_id


def as_properties(settings: dict[str, str]) -> str:
    """Return the settings as a Java properties file."""
    return "".join(f"{name}={value}\n" for name, value in settings.items())


def as_environment(settings: dict[str, str]) -> dict[str, str]:
    """Return the settings as the environment variables that the Kafka image reads."""
    return {"KAFKA_" + name.upper().replace(".", "_"): value for name, value in settings.items()}
