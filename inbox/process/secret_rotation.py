"""The rotation of secrets while the sink runs: new ones are seen in files, tried out, and only then taken.

A worker keeps the login with which it began, so taking new secrets means replacing the worker. That
waits until both servers accept them: a new password may be in the file before it is in the server,
or after.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from inbox.errors import InboxError, StartupError
from inbox.log_lines import log
from inbox.settings import Settings
from inbox.settings.secret_files import fingerprint, secret_files

_LOOK_SECONDS = 5.0


class SecretRotation:
    """The watch over the files of `settings`. `reload` reads the whole configuration again."""

    def __init__(
        self,
        settings: Settings,
        reload: Callable[[], Settings],
        environ: Mapping[str, str],
        cwd: Path,
        *,
        look_seconds: float = _LOOK_SECONDS,
    ) -> None:
        self._reload = reload
        self._environ = environ
        self._cwd = cwd
        self._look_seconds = look_seconds
        self._over = threading.Event()
        self._reported: str | None = None
        self.settings = settings
        self._seen = self._fingerprint(settings)

    @contextmanager
    def watching(self, changed: Callable[[], None]) -> Iterator[None]:
        """Watch the files while the context is entered, and call `changed` for each change taken.

        `changed` runs on another thread. `settings` are the new ones by then.
        """
        self._over = threading.Event()
        threading.Thread(target=self._watch, args=[changed, self._over], name="inbox-rotation", daemon=True).start()
        try:
            yield
        finally:
            self._over.set()

    def _watch(self, changed: Callable[[], None], over: threading.Event) -> None:
        while not over.wait(self._look_seconds):
            if self._fingerprint(self.settings) != self._seen and self._take() and not over.is_set():
                changed()

    def _take(self) -> bool:
        """Take the secrets that the files hold now; return whether they are right and accepted.

        Secrets that are refused are tried again the next time.
        """
        try:
            settings = self._reload()
            seen = self._fingerprint(settings)
            _try_out(settings)
        except InboxError as error:
            self._tell_refusal(error)
            return False
        self.settings, self._seen, self._reported = settings, seen, None
        log().info("secrets-changed")
        return True

    def _tell_refusal(self, error: InboxError) -> None:
        """Log a refusal, once for each text. The worker itself reports a server that does not answer."""
        if isinstance(error, StartupError) and str(error) != self._reported:
            self._reported = str(error)
            log().warning("secrets-refused", error=self._reported)

    def _fingerprint(self, settings: Settings) -> bytes:
        return fingerprint(secret_files(settings, self._environ, self._cwd))


def _try_out(settings: Settings) -> None:
    """Raise an InboxError unless both servers accept the login."""
    # Imported here: a supervisor needs the clients for nothing else, and saves 20 MB until a secret changes.
    from inbox.kafka.cluster import Cluster
    from inbox.store.postgres.connection import connect

    connect(settings.database, application_name="inbox rotation").close()
    Cluster(settings.kafka).cluster_id()
