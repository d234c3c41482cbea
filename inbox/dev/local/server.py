"""What the servers have in common that run as children of this process."""

from abc import ABC, abstractmethod
from pathlib import Path

from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import free_port

START_WITHIN_SECONDS = 60.0


class LocalServer(ABC):
    """A server that keeps its port and its data across restarts.

    Made without effect; `start` starts it. It does not outlive this process, see `Supervised`.
    """

    def __init__(self) -> None:
        self.port = free_port()
        self._process: Supervised | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, or None when it does not run."""
        return None if self._process is None else self._process.pid

    @property
    def directory(self) -> Path | None:
        """Where its data and its output are, or None before the first start."""
        return None if self._process is None else self._process.directory

    def start(self) -> None:
        """Starts it and returns when it can be used; does nothing when it runs.

        Raises StartupError when it cannot be set up, or does not answer within 60 seconds.
        """
        if self._process is None:
            self._process = self._prepared()
        if self._process.pid is None:
            self._launch(self._process)
        self._await()

    def stop(self) -> None:
        """In order, as far as it gets: open transactions are rolled back. Data and port stay, for `start`."""
        if self._process is not None:
            self._process.stop()

    def kill(self) -> None:
        """SIGKILL to all its processes; returns when they are gone. Data and port stay, for `start`."""
        if self._process is not None:
            self._process.kill()

    def restart(self) -> None:
        """`stop`, then `start`."""
        self.stop()
        self.start()

    def close(self) -> None:
        """Ends the server and removes its data. A later `start` makes an empty one."""
        if self._process is not None:
            self._process.close()
            self._process = None

    @abstractmethod
    def _prepared(self) -> Supervised:
        """Its directory, with all that a start needs."""

    @abstractmethod
    def _launch(self, process: Supervised) -> None:
        """The server itself."""

    @abstractmethod
    def _await(self) -> None:
        """Returns when it can be used."""

    def _last_words(self) -> str | None:
        if self._process is None or self._process.pid is not None:
            return None
        return self._process.log_tail()
