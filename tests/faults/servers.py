"""A Kafka and a PostgreSQL that may be killed, each behind a proxy."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from inbox.dev.backends import OwnServer, postgres_backends
from inbox.dev.local.kafka import Listener, LocalKafka
from inbox.dev.ports import LOOPBACK, free_port
from inbox.errors import StartupError
from tests.faults.proxy import Proxy
from tests.support.databases import by_way_of
from tests.support.waiting import eventually

SHUTDOWN_WITHIN = 120.0


@dataclass(frozen=True)
class KillableServers:
    """The servers and the ways to them: `..._servers` and `..._url` are direct, for who watches the sink."""

    kafka: LocalKafka
    postgres: OwnServer
    kafka_proxy: Proxy
    postgres_proxy: Proxy

    @property
    def bootstrap_servers(self) -> str:
        return self.kafka.address

    @property
    def proxied_bootstrap_servers(self) -> str:
        return f"{LOOPBACK}:{self.kafka_proxy.port}"

    def proxied(self, database_url: str) -> str:
        """The way to that database that leads through the proxy."""
        return by_way_of(database_url, self.postgres_proxy.port)

    def crash_postgres(self) -> None:
        """An immediate shutdown: no checkpoint, open transactions are left to the recovery."""
        pid = getattr(self.postgres, "pid", None)
        if pid is None:  # in a container: its processes are not ours to signal
            self.postgres.kill()
            return
        os.kill(pid, signal.SIGQUIT)
        eventually(lambda: getattr(self.postgres, "pid", None) is None, within=SHUTDOWN_WITHIN, what="the shutdown")


@contextmanager
def killable_servers() -> Iterator[KillableServers]:
    """Started, and for as long as the context lasts.

    Kafka is always the local one: its second listener, whose clients are told to come through the proxy, is ours.
    Raises StartupError where there is no PostgreSQL that may be killed.
    """
    own = [backend for backend in postgres_backends() if backend.own is not None]
    if not own:
        raise StartupError("there is no PostgreSQL that may be killed; set INBOX_TEST_BACKEND=local")
    postgres, inside = own[0].make_own(), free_port()
    with ExitStack() as stack:
        kafka_proxy = stack.enter_context(Proxy(inside))
        kafka = LocalKafka(further=[Listener("PROXIED", inside, advertised=kafka_proxy.port)])
        stack.callback(kafka.close)
        stack.callback(postgres.close)
        kafka.start()
        postgres.start()
        port = urlsplit(postgres.address).port
        assert port is not None
        postgres_proxy = stack.enter_context(Proxy(port, postgresql=True))
        yield KillableServers(kafka, postgres, kafka_proxy, postgres_proxy)
