"""Choose the Kafka and the PostgreSQL that the tests, the demo and `inbox dev up` run on.

For each of the two the order is: the server that the environment names (`INBOX_TEST_KAFKA`,
`INBOX_TEST_DATABASE`), else a container if a Docker daemon answers, else a process of our own on this machine.
`INBOX_TEST_BACKEND` forces the choice: `environment`, `docker`, `local`, or `pypi`, which is `local` with only
what the Python package index offers.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from inbox.dev.containers import daemon_answers, kafka_container, postgres_container
from inbox.dev.kafka_settings import KAFKA_VERSION
from inbox.dev.local.kafka import LocalKafka, silent
from inbox.dev.local.postgres import LocalPostgres
from inbox.dev.local.postgres_binaries import PostgresBinaries, machine_binaries, pypi_binaries
from inbox.dev.named_servers import NamedDatabase, NamedKafka
from inbox.errors import StartupError

Kind = Literal["environment", "docker", "local", "pypi"]
Progress = Callable[[str], None]

ALLOWED: dict[str, Sequence[Kind]] = {
    "": ("environment", "docker", "local", "pypi"),
    "environment": ("environment",),
    "docker": ("docker",),
    "local": ("local", "pypi"),
    "pypi": ("pypi",),
}


class Server(Protocol):
    """A server that can be started and given back."""

    @property
    def address(self) -> str:
        """Return the bootstrap servers, or a database URL."""
        ...

    @property
    def description(self) -> str:
        """Return the product, its version and where it runs; never a secret."""
        ...

    def start(self) -> None:
        """Start the server, and return when it can be used. Raises StartupError."""
        ...

    def close(self) -> None:
        """Give the server back; a server that was started here ends, and its data is removed."""
        ...


class OwnServer(Server, Protocol):
    """A server that this process started. A test may end it and start it again on the same address, with its data."""

    def stop(self) -> None: ...

    def kill(self) -> None: ...

    def restart(self) -> None: ...


@dataclass(frozen=True)
class Backend:
    """A way to a server, which is known without starting anything."""

    kind: Kind
    description: str
    named: Callable[[], Server] | None = None
    own: Callable[[Progress], OwnServer] | None = None

    def make(self, progress: Progress = silent) -> Server:
        """Return a server that is not started yet."""
        if self.named is not None:
            return self.named()
        return self.make_own(progress)

    def make_own(self, progress: Progress = silent) -> OwnServer:
        """Return a server that is not started yet and may be killed.

        Raises StartupError if the server belongs to somebody else.
        """
        if self.own is None:
            raise StartupError(
                f"{self.description} was not started here, so it cannot be stopped; set INBOX_TEST_BACKEND=local"
            )
        return self.own(progress)


@dataclass(frozen=True)
class Servers:
    """The addresses of the two servers. The URL is not shown, since it holds a password."""

    bootstrap_servers: str
    database_url: str = field(repr=False)
    description: str


def kafka_backends() -> list[Backend]:
    """Return every Kafka that can be had here, the preferred one first."""
    found = []
    if named := os.environ.get("INBOX_TEST_KAFKA"):
        found.append(Backend("environment", "Kafka (INBOX_TEST_KAFKA)", named=lambda: NamedKafka(named)))
    if daemon_answers():
        found.append(Backend("docker", f"Apache Kafka {KAFKA_VERSION} (Docker)", own=lambda _: kafka_container()))
    local = Backend(
        "pypi", f"Apache Kafka {KAFKA_VERSION} (local JVM)", own=lambda progress: LocalKafka(progress=progress)
    )
    return _allowed([*found, local])


def postgres_backends(data_parent: Path | None = None) -> list[Backend]:
    """Return every PostgreSQL that can be had here, the preferred one first.

    A server that this process starts keeps its data in `data_parent`, by default among the temporary files.
    """
    found = []
    if named := os.environ.get("INBOX_TEST_DATABASE"):
        found.append(Backend("environment", "PostgreSQL (INBOX_TEST_DATABASE)", named=lambda: NamedDatabase(named)))
    if daemon_answers():
        found.append(Backend("docker", "PostgreSQL (Docker)", own=lambda _: postgres_container()))
    if (binaries := machine_binaries()) is not None:
        found.append(_local_postgres("local", binaries, data_parent))
    if (binaries := pypi_binaries()) is not None:
        found.append(_local_postgres("pypi", binaries, data_parent))
    return _allowed(found)


def _local_postgres(kind: Kind, binaries: PostgresBinaries, data_parent: Path | None) -> Backend:
    description = f"PostgreSQL {binaries.version} ({binaries.origin})"
    return Backend(kind, description, own=lambda _: LocalPostgres(binaries, data_parent=data_parent))


def _allowed(found: list[Backend]) -> list[Backend]:
    forced = os.environ.get("INBOX_TEST_BACKEND", "")
    if forced not in ALLOWED:
        raise StartupError(f"INBOX_TEST_BACKEND={forced!r} is unknown; use one of {', '.join(list(ALLOWED)[1:])}")
    return [backend for backend in found if backend.kind in ALLOWED[forced]]


def chosen_kafka() -> Backend:
    """Return the Kafka to use. Raises StartupError if there is none."""
    return _first(kafka_backends(), "Kafka", "name a broker in INBOX_TEST_KAFKA")


def chosen_postgres(data_parent: Path | None = None) -> Backend:
    """Return the PostgreSQL to use, see `postgres_backends`. Raises StartupError if there is none."""
    found = postgres_backends(data_parent)
    return _first(found, "PostgreSQL", "install kafka-inbox[dev] or name one in INBOX_TEST_DATABASE")


def _first(backends: list[Backend], what: str, remedy: str) -> Backend:
    if not backends:
        forced = os.environ.get("INBOX_TEST_BACKEND")
        because = f" with INBOX_TEST_BACKEND={forced}" if forced else ""
        raise StartupError(f"there is no {what} to use{because}; {remedy}")
    return backends[0]


@contextmanager
def servers(*, progress: Progress = silent, data_parent: Path | None = None) -> Iterator[Servers]:
    """Provide a Kafka and a PostgreSQL while the context lasts; end those that were started here at its end.

    `progress` is called with a text, from any thread, for each step that takes long. `data_parent` is for
    `postgres_backends`. Raises StartupError if either server cannot be had.
    """
    kafka, postgres = chosen_kafka().make(progress), chosen_postgres(data_parent).make(progress)
    try:
        _start_together(kafka, postgres)
        yield Servers(kafka.address, postgres.address, f"{kafka.description}, {postgres.description}")
    finally:
        kafka.close()
        postgres.close()


def _start_together(slow: Server, quick: Server) -> None:
    """Start both servers, the slow one in this thread, where Ctrl-C can interrupt a download."""
    with ThreadPoolExecutor(1, thread_name_prefix="inbox-dev-start") as pool:
        other = pool.submit(quick.start)
        slow.start()
        other.result()
