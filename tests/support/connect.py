"""A real Kafka Connect, for the connectors that the project is compared with: jars from Maven, one worker."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from inbox.dev.kafka_settings import as_properties
from inbox.dev.local.kafka import HEAP, LOG4J, QUIET, java
from inbox.dev.local.kafka_jars import LOG4J_VERSION, JarSet, downloaded
from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import LOOPBACK, free_port
from tests.jars import pins
from tests.support.waiting import eventually


def connect_jars(version: str, *, jackson: str, annotations: str, megabytes: int, pinned: str) -> JarSet:
    """Return the jars of a version of Kafka Connect, with the Jackson that this version asks for."""
    return JarSet(
        f"Apache Kafka Connect {version}",
        (
            f"org.apache.kafka:connect-runtime:{version}",
            f"org.apache.kafka:kafka-clients:{version}",
            f"org.apache.kafka:connect-json:{version}",
            # named, or the resolver picks versions that the REST server does not start with
            "jakarta.ws.rs:jakarta.ws.rs-api:3.1.0",
            "jakarta.servlet:jakarta.servlet-api:6.0.0",
            "jakarta.annotation:jakarta.annotation-api:2.1.1",
            f"com.fasterxml.jackson.core:jackson-annotations:{annotations}",
            f"com.fasterxml.jackson.core:jackson-core:{jackson}",
            f"com.fasterxml.jackson.core:jackson-databind:{jackson}",
            f"com.fasterxml.jackson.datatype:jackson-datatype-jdk8:{jackson}",
            f"com.fasterxml.jackson.datatype:jackson-datatype-jsr310:{jackson}",
            f"com.fasterxml.jackson.module:jackson-module-blackbird:{jackson}",
            f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
            f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
        ),
        megabytes=megabytes,
        pins=pins(pinned),
    )


# 4.2 is the first version whose JSON converter takes the schema from its configuration (KIP-1054). Before, every
# record has to carry the schema, in an envelope that is three times as large as the event.
CONNECT = connect_jars("4.2.0", jackson="2.19.2", annotations="2.19.2", megabytes=37, pinned="connect")
_START_WITHIN_SECONDS = 180.0
_OF_THE_WORKER = ("jackson-", "connect-api-", "connect-json-", "kafka-clients-", "slf4j-")
"""What a plugin takes from the worker. Jackson finds its modules as services, which fails if both have their own."""


class ConnectWorker:
    """A worker of Kafka Connect with these plugins, each of its own class path; it ends with this process.

    `settings` are the worker's own. With `connector` it is a standalone worker that runs this one connector,
    otherwise a distributed one, which gets its connectors over its REST interface. `jvm` are options of its JVM;
    `environment` holds the variables that its `${env:...}` reads. `jars` are those of the worker itself.
    """

    def __init__(
        self,
        plugins: Sequence[JarSet],
        settings: Mapping[str, str],
        *,
        connector: Mapping[str, str] | None = None,
        jvm: Sequence[str] = (HEAP,),
        environment: Mapping[str, str] | None = None,
        jars: JarSet = CONNECT,
    ) -> None:
        self._jars = downloaded(jars, print)
        self._process = Supervised("connect")
        self._jvm = jvm
        self._environment = environment or {}
        self._files = ["worker.properties", *(["connector.properties"] if connector else [])]
        self.rest = f"http://{LOOPBACK}:{free_port()}"
        directory = self._process.directory
        for number, plugin in enumerate(plugins):
            _install(plugin, directory / "plugins" / str(number))
        worker = {"plugin.path": str(directory / "plugins"), "listeners": self.rest, **settings}
        if connector is not None:
            worker["offset.storage.file.filename"] = str(directory / "offsets")
            (directory / "connector.properties").write_text(as_properties(dict(connector)))
        (directory / "log4j2.properties").write_text(LOG4J)
        (directory / "worker.properties").write_text(as_properties(worker))

    def start(self) -> int:
        """Start the worker, and return the JVM's process id."""
        mode = "ConnectStandalone" if len(self._files) > 1 else "ConnectDistributed"
        command = [str(java()), *self._jvm, *QUIET, "-Dlog4j2.configurationFile=log4j2.properties"]
        command += ["-cp", ":".join(map(str, self._jars)), f"org.apache.kafka.connect.cli.{mode}", *self._files]
        return self._process.start(["env", *(f"{name}={value}" for name, value in self._environment.items()), *command])

    def kill(self) -> None:
        """Send SIGKILL; `start` starts the same worker again."""
        self._process.kill()

    def stop(self) -> None:
        """Send SIGTERM, on which a worker stores its offsets."""
        self._process.stop(within=30)

    def close(self) -> None:
        self._process.close()

    def log(self) -> str:
        return self._process.log.read_text(errors="replace")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Return the answer of the REST interface; None while it does not answer or is busy."""
        request = urllib.request.Request(  # noqa: S310 - our own worker
            self.rest + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            if error.code in {404, 409, 500, 503}:  # not yet, or rebalancing
                return None
            raise AssertionError(f"{method} {path}: {error.code} {error.read().decode()}") from error
        except OSError:
            return None

    def run(self, name: str, config: Mapping[str, str]) -> None:
        """Give a distributed worker a connector, and return when the connector's task runs."""
        eventually(
            lambda: self.ask("PUT", f"/connectors/{name}/config", config),
            within=_START_WITHIN_SECONDS,
            what="an answer of Kafka Connect",
        )
        self.await_running(name)

    def await_running(self, name: str) -> None:
        eventually(lambda: self.is_running(name), within=_START_WITHIN_SECONDS, what=f"a running task of {name}")

    def is_running(self, name: str) -> bool:
        told = self.ask("GET", f"/connectors/{name}/status") or {"tasks": []}
        failed = [task["trace"] for task in told["tasks"] if task["state"] == "FAILED"]
        assert not failed, failed[0]
        return any(task["state"] == "RUNNING" for task in told["tasks"])


def _install(plugin: JarSet, directory: Path) -> None:
    directory.mkdir(parents=True)
    for jar in downloaded(plugin, print):
        if not jar.name.startswith(_OF_THE_WORKER):
            (directory / jar.name).symlink_to(jar)
