"""Share the servers of one test run, and the database that each test's own is copied from.

With `-n` the tests run in several processes. The process that started those keeps the servers, and starts the servers
once the first of the others asks. So they are the same for all, they outlive the process that asked, and unit tests
never start them.
"""

import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.connection import Client, Listener
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from inbox.dev import backends
from inbox.errors import StartupError
from inbox.store.options import DatabaseOptions
from inbox.store.schema.migrate import migrate
from tests.support.databases import create_database, drop_database
from tests.support.kafka_archive import make_archive
from tests.support.kafka_topics import unique_name
from tests.support.memory_files import memory_for_databases

_WAITING_AT_ONCE = 64


@dataclass(frozen=True)
class Ground:
    """The common ground of every test: two servers, and the name of a database that is only copied."""

    servers: backends.Servers
    template: str


def prepare_template(url: str) -> None:
    """Bring the template database to the state that each test's database starts from."""
    migrate(DatabaseOptions(url=SecretStr(url)))


@contextmanager
def laid(say: Callable[[str], None]) -> Iterator[Ground]:
    """Provide started servers and a migrated template while the context lasts. Raises StartupError."""
    with suppress(StartupError):
        make_archive()
    with memory_for_databases() as memory, backends.servers(progress=say, data_parent=memory) as servers:
        name = unique_name("template")
        prepare_template(create_database(servers.database_url, name))
        yield Ground(servers, name)
        drop_database(servers.database_url, name)


class Keeper:
    """A keeper of one ground for the processes of a run, from the first question for it until `close`.

    `groups` are the tests that have to run in one process, by node id, as the other processes report them.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self.groups: dict[str, str] = {}
        self._stack = ExitStack()
        directory = self._stack.enter_context(tempfile.TemporaryDirectory(prefix="inbox-tests-"))
        self.address = str(Path(directory) / "ground")
        self._listener = self._stack.enter_context(Listener(self.address, "AF_UNIX", backlog=_WAITING_AT_ONCE))
        self._closing = False
        self._thread = threading.Thread(target=self._answer, name="ground", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the servers, if there are any."""
        self._closing = True
        Client(self.address, "AF_UNIX").close()
        self._thread.join()
        self._stack.close()

    def _answer(self) -> None:
        answer: Ground | str | None = None
        while True:
            with self._listener.accept() as connection:
                if self._closing:
                    return
                if groups := connection.recv():
                    self.groups = groups
                else:
                    answer = answer or self._lay()
                connection.send(answer)

    def _lay(self) -> Ground | str:
        try:
            return self._stack.enter_context(laid(self._say))
        except StartupError as error:
            return str(error)


def ground_of(address: str) -> Ground:
    """Return the ground that the keeper at this address has. Raises StartupError if it could not be had."""
    answer = _asked(address, {})
    if isinstance(answer, Ground):
        return answer
    raise StartupError(answer)


def tell_groups(address: str, groups: Mapping[str, str]) -> None:
    """Report to the keeper at this address which tests have to run in one process."""
    if groups:
        _asked(address, groups)


def _asked(address: str, question: Mapping[str, str]) -> Any:
    with Client(address, "AF_UNIX") as connection:
        connection.send(dict(question))
        return connection.recv()
