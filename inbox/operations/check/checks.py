"""Run every check, even if an earlier one failed, and collect the findings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from inbox.errors import InboxError, TryAgainError
from inbox.kafka.cluster import Cluster
from inbox.kafka.options import KafkaOptions
from inbox.operations.check.transport_advice import advice_on_brokers, advice_on_database
from inbox.store.options import DatabaseOptions
from inbox.store.postgres.connection import Connection, connect, startup_errors
from inbox.store.postgres.server import transport_of

BROKER_SECONDS = 5.0


class Verdict(StrEnum):
    """The result of a check. Advice is not a failure."""

    OK = "ok"
    ADVICE = "advice"
    FAILED = "failed"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True)
class CheckResult:
    """A finding: one check with its problems, each a sentence with its remedy.

    If nothing could be checked, the finding says why.
    """

    subject: str
    verdict: Verdict
    problems: Sequence[str] = ()


class SkippedCheckError(Exception):
    """A question that makes no sense after an earlier finding."""


class Checks:
    """The findings so far, and the servers to which later questions are put. It changes nothing anywhere."""

    def __init__(self, database: DatabaseOptions, kafka: KafkaOptions) -> None:
        self._database = database
        self._kafka = kafka
        self._connection: Connection | None = None
        self._cluster: Cluster | None = None
        self.cluster_id = ""
        self.findings = [CheckResult("configuration", Verdict.OK)]

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()

    def ask(self, subject: str, question: Callable[[], object], *, when_away: str = "try again later") -> None:
        """Ask a question and note its result, unless it noted a finding itself.

        `when_away` is the remedy for a server that does not answer, which an outage's own text
        lacks, unless it is a refusal of the registry.
        """
        noted = len(self.findings)
        try:
            with startup_errors("asking the database"):
                question()
        except SkippedCheckError as error:
            finding = CheckResult(subject, Verdict.NOT_CHECKED, [str(error)])
        except TryAgainError as error:
            says = str(error) if error.alert and error.away == "registry" else f"{error}; {when_away}"
            finding = CheckResult(subject, Verdict.FAILED, [says])
        except InboxError as error:
            finding = CheckResult(subject, Verdict.FAILED, str(error).splitlines())
        else:
            finding = CheckResult(subject, Verdict.OK)
        if len(self.findings) == noted:
            self.findings.append(finding)

    def advise(self, subject: str, advice: Sequence[str]) -> None:
        """Note what is unwise, if anything is."""
        if advice:
            self.findings.append(CheckResult(subject, Verdict.ADVICE, advice))

    def advise_on_transport(self) -> None:
        """Note where logins or events travel to other machines without protection."""
        self.advise("way to the database", advice_on_database(transport_of(self._database)))
        self.advise("way to the brokers", advice_on_brokers(self._kafka))

    def find_database(self) -> None:
        self.ask("database", self._connect, when_away="start the server, or correct [database] url")

    def find_brokers(self) -> None:
        self.ask("brokers", self.reach_brokers, when_away="start them, or correct [kafka] bootstrap.servers")

    def database(self) -> Connection:
        """Return the server that earlier questions reached. Raises UnaskedError if there is none."""
        if self._connection is None:
            raise SkippedCheckError("the database cannot be asked")
        return self._connection

    def cluster(self) -> Cluster:
        """Return the server that earlier questions reached. Raises UnaskedError if there is none."""
        if self._cluster is None:
            raise SkippedCheckError("the brokers cannot be asked")
        return self._cluster

    def _connect(self) -> None:
        self._connection = connect(self._database, application_name="inbox check", read_only=True)

    def reach_brokers(self) -> None:
        """Find the cluster. Raises StartupError if the brokers, or librdkafka, refuse."""
        cluster = Cluster(self._kafka, timeout_seconds=BROKER_SECONDS)
        self.cluster_id = cluster.cluster_id()
        self._cluster = cluster
