"""A real schema registry, Apicurio's, on a JVM from the Python package index; what it stores is in its memory."""

import json
from collections.abc import Callable
from urllib.error import URLError
from urllib.request import urlopen

from inbox.dev.local.kafka import java, silent
from inbox.dev.local.registry_archive import REGISTRY_VERSION, unpacked_registry
from inbox.dev.local.server import LocalServer
from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import LOOPBACK
from inbox.dev.readiness import await_answer

START_WITHIN_SECONDS = 120.0
_OPTIONS = ("-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "--enable-native-access=ALL-UNNAMED")


class LocalRegistry(LocalServer):
    """An Apicurio Registry. Clients of Confluent's registry use `url`. What was registered is lost when it ends."""

    def __init__(self, *, progress: Callable[[str], None] = silent) -> None:
        super().__init__()
        self._progress = progress

    @property
    def url(self) -> str:
        """Return the address for clients of Confluent's registry."""
        return f"http://{LOOPBACK}:{self.port}/apis/ccompat/v7"

    @property
    def description(self) -> str:
        """Return the product and its version, for a report's header."""
        return f"Apicurio Registry {REGISTRY_VERSION} (local JVM)"

    def _prepared(self) -> Supervised:
        self._program = unpacked_registry(self._progress)
        return Supervised("registry")

    def _launch(self, process: Supervised) -> None:
        address: tuple[str, ...] = (f"-Dquarkus.http.host={LOOPBACK}", f"-Dquarkus.http.port={self.port}")
        # Its management interface would take a fixed port.
        address += (f"-Dquarkus.management.host={LOOPBACK}", "-Dquarkus.management.port=0")
        process.start([str(java()), *_OPTIONS, *address, "-jar", str(self._program / "quarkus-run.jar")])

    def _await(self) -> None:
        await_answer(f"the registry at {self.url}", self._answers, START_WITHIN_SECONDS, self._last_words)

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.url}/schemas/types", timeout=5) as answer:  # noqa: S310 - the address of this server
                return isinstance(json.load(answer), list)
        except (URLError, OSError, ValueError):
            return False
