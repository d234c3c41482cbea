"""The common part of the servers that run as children of this process."""

from abc import ABC, abstractmethod
from pathlib import Path

from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import free_port

START_WITHIN_SECONDS = 60.0


class LocalServer(ABC):
    """A server that keeps its port and its data across restarts.

    The constructor starts nothing; `start` does. The server does not outlive this process, see `Supervised`.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._process: Supervised | None = None

    @property
    def pid(self) -> int | None:
        """Return the server's process id, or None when it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def directory(self) -> Path | None:
        """Return the directory of data and output, or None before the first start."""
        return None if self._process is None else self._process.directory

    def start(self) -> None:
        """Start the server and return when it can be used; do nothing if it runs.

        Raises StartupError if it cannot be set up, or does not answer within 60 seconds.
        """
        if self._process is None:
            self._process = self._prepared()
        if self._process.pid is None:
            self._launch(self._process)
        self._await()

    def stop(self) -> None:
        """End the server in order, as far as it manages; open transactions are rolled back.

        The data and the port stay, for `start`.
        """
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """Send SIGKILL to all its processes; return when they are gone. Data and port stay, for `start`."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """Run `stop`, then `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """End the server and remove its data. A later `start` creates an empty one."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @abstractmethod
    def _prepared(self) -> Supervised:
        """Return the server's directory, with everything that a start needs."""

    @abstractmethod
    def _launch(self, process: Supervised) -> None:
        """Start the server's process."""

    @abstractmethod
    def _await(self) -> None:
        """Return when the server can be used."""

    def _last_words(self) -> str | None:
        if self._process is None or self._process.pid is not None:
            return None
        return self._process.log_tail()
