"""Run Apache Kafka and PostgreSQL in containers, if a Docker daemon answers."""

import os
import secrets
from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

from inbox.dev.kafka_settings import BROKER_SETTINGS, KAFKA_VERSION, as_environment, new_cluster_id
from inbox.dev.ports import LOOPBACK, free_port
from inbox.dev.readiness import await_broker, await_database
from inbox.errors import StartupError

KAFKA_IMAGE = f"apache/kafka:{KAFKA_VERSION}"
POSTGRES_IMAGE = "postgres:18"
POSTGRES_COMMAND = "postgres -c fsync=on -c wal_level=logical -c max_connections=200 -c timezone=UTC"

# two calls are made, so that the check stays below two seconds
DAEMON_CALL_SECONDS = 0.9
START_WITHIN_SECONDS = 120.0
STOP_WITHIN_SECONDS = 15


@cache
def daemon_answers() -> bool:
    """Return whether a Docker daemon answers; the presence of a client is not enough.

    The daemon is asked only once, and the check takes less than 2 seconds.
    """
    if not os.environ.get("DOCKER_HOST") and not Path("/var/run/docker.sock").exists():
        return False
    try:
        docker: Any = import_module("docker")
    except ImportError:
        return False
    try:
        client = docker.from_env(timeout=DAEMON_CALL_SECONDS)
        try:
            return bool(client.ping())
        finally:
            client.close()
    except (docker.errors.DockerException, OSError):
        return False


class Container:
    """A container behind one fixed port of the loopback address, which it keeps across restarts.

    testcontainers' reaper ends the container when this process is gone.
    """

    def __init__(self, address: str, description: str, make: Callable[[], Any]) -> None:
        self.address = address
        self.description = description
        self._make = make
        self._container: Any = None

    def start(self) -> None:
        """Start the container and return when the server answers; do nothing if it runs.

        Raises StartupError if it cannot be started, or does not answer within 120 seconds.
        """
        docker: Any = import_module("docker")
        try:
            if self._container is None:
                self._container = self._make()
                self._container.start()
            elif self._state() != "running":
                self._wrapped().start()
        except (docker.errors.DockerException, OSError) as error:
            raise StartupError(f"{self.description} could not be started: {error}; see `docker ps -a`") from error
        self._await()

    def stop(self) -> None:
        """End the server with its own signal. Its data and its port stay, for `start`."""
        if self._container is not None:
            self._wrapped().stop(timeout=STOP_WITHIN_SECONDS)

    def kill(self) -> None:
        """Send SIGKILL. The data and the port stay, for `start`."""
        if self._container is not None:
            self._wrapped().kill()
            self._wrapped().wait()

    def restart(self) -> None:
        """Run `stop`, then `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Remove the container and its data."""
        if self._container is not None:
            self._container.stop()
            self._container = None

    def _await(self) -> None:
        wait = await_database if "://" in self.address else await_broker
        wait(self.address, within=START_WITHIN_SECONDS, ended=self._last_words)

    def _last_words(self) -> str | None:
        if self._state() == "running":
            return None
        return str(self._wrapped().logs(tail=12).decode(errors="replace"))

    def _state(self) -> str:
        wrapped = self._wrapped()
        wrapped.reload()
        return str(wrapped.status)

    def _wrapped(self) -> Any:
        return self._container.get_wrapped_container()


def kafka_container() -> Container:
    """Return an Apache Kafka of one broker, which is not started."""
    port = free_port()
    settings = {
        **BROKER_SETTINGS,
        # inside its own network namespace it may listen everywhere: the port is published on the loopback address alone
        "listeners": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.quorum.voters": "1@localhost:9093",
        # the broker's own clients cannot reach the published port from inside
        "inter.broker.listener.name": "INSIDE",
    }
    settings["listeners"] += ",INSIDE://:9094"
    settings["advertised.listeners"] += ",INSIDE://localhost:9094"
    settings["listener.security.protocol.map"] += ",INSIDE:PLAINTEXT"

    def make() -> Any:
        container = _container(KAFKA_IMAGE, inside=9092, outside=port).with_env("CLUSTER_ID", new_cluster_id())
        for name, value in as_environment(settings).items():
            container.with_env(name, value)
        return container

    return Container(f"{LOOPBACK}:{port}", f"Apache Kafka {KAFKA_VERSION} (Docker)", make)


def postgres_container() -> Container:
    """Return a PostgreSQL with the superuser `postgres` and a generated password, which is not started."""
    port = free_port()
    password = secrets.token_urlsafe(12)

    def make() -> Any:
        container = _container(POSTGRES_IMAGE, inside=5432, outside=port)
        return container.with_env("POSTGRES_PASSWORD", password).with_command(POSTGRES_COMMAND)

    address = f"postgresql://postgres:{password}@{LOOPBACK}:{port}/postgres"
    return Container(address, f"PostgreSQL {POSTGRES_IMAGE.partition(':')[2]} (Docker)", make)


def _container(image: str, *, inside: int, outside: int) -> Any:
    containers: Any = import_module("testcontainers.core.container")
    container = containers.DockerContainer(image)
    # with_bind_ports would publish it on every address of the machine
    container.ports[f"{inside}/tcp"] = (LOOPBACK, outside)
    return container
