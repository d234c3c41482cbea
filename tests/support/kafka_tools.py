"""Run Apache Kafka's own command-line tools, with which ours are compared."""

import subprocess

from inbox.dev.kafka_settings import KAFKA_VERSION
from inbox.dev.local.kafka import QUICK_START, java
from inbox.dev.local.kafka_jars import LOG4J_VERSION, JarSet, downloaded
from tests.jars import pins

TOOLS = JarSet(
    f"Apache Kafka tools {KAFKA_VERSION}",
    (
        f"org.apache.kafka:kafka-tools:{KAFKA_VERSION}",
        f"org.apache.kafka:kafka-clients:{KAFKA_VERSION}",
        f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
        f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
    ),
    megabytes=43,
    pins=pins("kafka-tools"),
)
_WITHIN_SECONDS = 180.0


def consumer_groups(bootstrap_servers: str, *arguments: str) -> str:
    """Return the output of `kafka-consumer-groups`."""
    jars = ":".join(map(str, downloaded(TOOLS, print)))
    command = [str(java()), *QUICK_START, "-cp", jars, "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand"]
    done = subprocess.run(
        [*command, "--bootstrap-server", bootstrap_servers, *arguments],
        capture_output=True,
        text=True,
        timeout=_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
