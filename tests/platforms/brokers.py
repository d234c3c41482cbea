"""Apache Kafka in several versions: from 3.9 like the broker of every test run, 2.8 beside a ZooKeeper."""

from inbox.dev.kafka_settings import BROKER_SETTINGS, as_properties
from inbox.dev.local.kafka import HEAP, QUICK_START, QUIET, LocalKafka, java, silent
from inbox.dev.local.kafka_jars import LOG4J_VERSION, JarSet, downloaded
from inbox.dev.local.server import START_WITHIN_SECONDS, LocalServer
from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import LOOPBACK
from inbox.dev.readiness import await_broker
from tests.jars import pins

_LOG4J_1 = ("org.slf4j:slf4j-reload4j:1.7.36", "ch.qos.reload4j:reload4j:1.2.25")
_LOG4J_2 = (
    f"org.apache.logging.log4j:log4j-slf4j-impl:{LOG4J_VERSION}",
    f"org.apache.logging.log4j:log4j-core:{LOG4J_VERSION}",
)
_LOGGING = """\
log4j.rootLogger=WARN, console
log4j.appender.console=org.apache.log4j.ConsoleAppender
log4j.appender.console.layout=org.apache.log4j.PatternLayout
log4j.appender.console.layout.ConversionPattern=%d %p %c: %m%n
"""
_KRAFT_ONLY = ("process.roles", "node.id", "controller.", "listener.security.", "share.", "broker.session", "inter.")


def broker(version: str) -> LocalServer:
    """Return a broker of the version that is not started yet. Raises StartupError if it cannot be downloaded."""
    logging = _LOG4J_2 if version.startswith("4.") else _LOG4J_1
    jars = JarSet(
        f"Apache Kafka {version}",
        (f"org.apache.kafka:kafka_2.13:{version}", f"org.apache.kafka:kafka-clients:{version}", *logging),
        megabytes=45,
        pins=pins(f"kafka-{version}"),
    )
    return ZooKeeperKafka(jars) if version.startswith("2.") else LocalKafka(product=jars, progress=print)


class _JvmServer(LocalServer):
    """A server of Kafka's jars: `main_class` is started with the file `settings.properties`."""

    def __init__(self, jars: JarSet, main_class: str) -> None:
        super().__init__()
        self._product, self._main_class = jars, main_class

    @property
    def address(self) -> str:
        return f"{LOOPBACK}:{self.port}"

    def settings(self, process: Supervised) -> dict[str, str]:
        raise NotImplementedError

    def _prepared(self) -> Supervised:
        self._jars = downloaded(self._product, silent)
        process = Supervised(self._main_class.rpartition(".")[2].lower())
        (process.directory / "settings.properties").write_text(as_properties(self.settings(process)))
        (process.directory / "log4j.properties").write_text(_LOGGING)
        return process

    def _launch(self, process: Supervised) -> None:
        options = [HEAP, *QUIET, *QUICK_START, "-Dlog4j.configuration=file:log4j.properties"]
        class_path = ":".join(map(str, self._jars))
        process.start([str(java()), *options, "-cp", class_path, self._main_class, "settings.properties"])


class _ZooKeeper(_JvmServer):
    """The ZooKeeper of one broker; who needs it waits until it answers."""

    def __init__(self, jars: JarSet) -> None:
        super().__init__(jars, "org.apache.zookeeper.server.quorum.QuorumPeerMain")

    def settings(self, process: Supervised) -> dict[str, str]:
        return {
            "dataDir": str(process.directory / "data"),
            "clientPort": str(self.port),
            "clientPortAddress": LOOPBACK,
            "admin.enableServer": "false",
            "maxClientCnxns": "0",
        }

    def _await(self) -> None:
        """Return immediately: the broker tries until its ZooKeeper answers."""


class ZooKeeperKafka(_JvmServer):
    """An Apache Kafka before KRaft, with a ZooKeeper of its own."""

    def __init__(self, jars: JarSet) -> None:
        super().__init__(jars, "kafka.Kafka")
        self._zookeeper = _ZooKeeper(jars)

    @property
    def description(self) -> str:
        return f"{self._product.product} with ZooKeeper (local JVM)"

    def settings(self, process: Supervised) -> dict[str, str]:
        ours = {name: value for name, value in BROKER_SETTINGS.items() if not name.startswith(_KRAFT_ONLY)}
        return {
            **ours,
            "broker.id": "1",
            "listeners": f"PLAINTEXT://{self.address}",
            "zookeeper.connect": self._zookeeper.address,
            "zookeeper.connection.timeout.ms": str(int(START_WITHIN_SECONDS * 1000)),
            "log.dirs": str(process.directory / "log"),
        }

    def start(self) -> None:
        self._zookeeper.start()
        super().start()

    def close(self) -> None:
        super().close()
        self._zookeeper.close()

    def _await(self) -> None:
        await_broker(self.address, within=START_WITHIN_SECONDS, ended=self._last_words)
