"""The programs of the outbox demo: the customers, the order service, the relay, and the sink."""

import json
import socket
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, LiteralString

import psycopg

from inbox.dev.demo.inventory_sink import INVENTORY_SINK
from inbox.dev.demo.outbox_demo.databases import DemoDatabases
from inbox.dev.demo.program import Program
from inbox.dev.ports import LOOPBACK, free_port
from inbox.errors import TryAgainError

_START_WITHIN_SECONDS = 30.0

_ORDERS_CONFIG = """\
[database]
url = {orders_url}

[kafka]
"bootstrap.servers" = {bootstrap_servers}

[outbox]
"""


@dataclass(frozen=True)
class Role:
    """A part that is killed: its name, its program, and the query that counts its progress."""

    name: str
    program: Program
    database_url: str
    progress: LiteralString


class Service:
    """A running part, which is killed when it has passed given points of its own progress."""

    def __init__(self, role: Role, kill_at: Sequence[int]) -> None:
        self.name = role.name
        self.done = 0
        self._program = role.program
        self._progress: LiteralString = role.progress
        self._kill_at = kill_at
        self._connection: psycopg.Connection[Any] = psycopg.connect(role.database_url, autocommit=True)

    @property
    def kills(self) -> int:
        return self._program.kills

    @property
    def spared(self) -> bool:
        """Return whether the part will not be killed again."""
        return self.kills == len(self._kill_at)

    def look(self) -> bool:
        """Count again; kill and restart the part if it passed a point. Return whether it was killed.

        Raises:
            TryAgainError: the part ended by itself.
        """
        (self.done,) = self._connection.execute(self._progress).fetchone() or (0,)
        if not self.spared and self.done >= self._kill_at[self.kills]:
            self._program.crash()
            return True
        if (code := self._program.exit_code) is not None:
            raise TryAgainError(
                f"the {self.name} ended with {code}; its last words were:\n{self._program.last_words()}"
            )
        return False

    def close(self) -> None:
        self._connection.close()
        self._program.close()


class Services:
    """The programs of the demo, and the configurations that a reader may want to look at."""

    def __init__(self, ground: DemoDatabases) -> None:
        self._port = free_port()
        stage = ground.stage
        values = {
            "orders_url": ground.orders_url,
            "url": ground.inventory_url,
            "bootstrap_servers": stage.servers.bootstrap_servers,
            "topic": stage.topic,
            "group": stage.name,
        }
        # a TOML basic string and a JSON string are the same for what can stand in a URL or an address
        quoted = {name: json.dumps(value) for name, value in values.items()}
        self._orders_config, self._sink_config = _ORDERS_CONFIG.format_map(quoted), INVENTORY_SINK.format_map(quoted)
        self._ground = ground

    def roles(self) -> list[Role]:
        """Start the order service, the relay and the sink, and return them."""
        orders, inventory = self._ground.orders_url, self._ground.inventory_url
        service = ["orders.service", "--config", "{config}", "--port", str(self._port)]
        service += ["--topic", self._ground.stage.topic]
        roles = [
            Role("order service", self._orders(service), orders, "SELECT count(*) FROM orders"),
            Role(
                "relay",
                self._orders(["inbox", "relay", "--config", "{config}"]),
                orders,
                "SELECT count(*) FROM inbox.outbox_sent",
            ),
            Role(
                "sink",
                Program(["inbox", "run", "--config", "{config}"], "inventory.toml", self._sink_config),
                inventory,
                "SELECT count(*) FROM reservations",
            ),
        ]
        for role in roles:
            role.program.start()
        return roles

    def customers(self, orders: int) -> Program:
        """Return the customers' program, started once the order service listens."""
        deadline = time.monotonic() + _START_WITHIN_SECONDS
        while not self._listens():
            if time.monotonic() > deadline:
                raise TryAgainError(f"the order service did not listen within {_START_WITHIN_SECONDS:g} s")
            time.sleep(0.05)
        url = f"http://{LOOPBACK}:{self._port}"
        arguments = ["orders.customers", "--orders", str(orders), "--service", url, "--answers", "{config}"]
        program = Program(arguments, "answers.json", "")
        program.start()
        return program

    def _orders(self, arguments: Sequence[str]) -> Program:
        return Program(arguments, "orders.toml", self._orders_config)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, self._port)) == 0


def answers_of(customers: Program) -> Mapping[str, Any]:
    """Return the answers that the customers got, once they have ended.

    Raises:
        TryAgainError: the customers failed.
    """
    if customers.exit_code != 0:
        raise TryAgainError(f"the customers gave up; their last words were:\n{customers.last_words()}")
    return dict(json.loads(customers.config.read_text()))
