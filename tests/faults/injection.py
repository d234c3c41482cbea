"""Carries a plan out: each fault in the lane that it belongs to."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import psycopg

from tests.faults.plan import Fault, Kind
from tests.faults.pods import Pod
from tests.faults.proxy import Cut
from tests.faults.servers import KillableServers
from tests.support.waiting import eventually

SESSION_TIMEOUT = 6.0
CUT_WITHIN = 120.0
DATABASE_BACK_WITHIN = 120.0
SLOW_SECONDS = 0.05
"""For each chunk of bytes, either way."""

_CUTS = {
    Kind.COMMIT_UNSENT: Cut.UNSENT,
    Kind.COMMIT_UNANSWERED: Cut.UNANSWERED,
    Kind.COMMIT_ANSWERED: Cut.ANSWERED,
}
_OURS = "FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE 'kafka-inbox%%'"


class Injection:
    """Faults against one sink; `extra` is a further member that is not kept.

    `done` counts those that came to be, `failed` says why others did not.
    """

    def __init__(
        self, servers: KillableServers, database_url: str, pods: Sequence[Pod], extra: Callable[[], Pod], journal: Path
    ) -> None:
        self._servers = servers
        self._database_url = database_url
        self._pods = pods
        self._extra = extra
        self._journal = journal.open("w")
        self._lanes: dict[str, ThreadPoolExecutor] = {}
        self._futures: list[Future[None]] = []
        self._lock = threading.Lock()
        self.done: Counter[Kind] = Counter()
        self.failed: list[str] = []

    def submit(self, fault: Fault) -> None:
        lane = self._lanes.setdefault(fault.lane, ThreadPoolExecutor(1, thread_name_prefix=fault.lane))
        self._futures.append(lane.submit(self._carry_out, fault))

    def finish(self) -> None:
        """Returns when every fault is over."""
        for lane in self._lanes.values():
            lane.shutdown()
        for future in self._futures:
            future.result()
        self._journal.close()

    @property
    def waiting(self) -> int:
        return sum(not future.done() for future in self._futures)

    def _carry_out(self, fault: Fault) -> None:
        self._note(f"{fault}")
        try:
            self._act(fault)
        except Exception as error:  # noqa: BLE001 - the trial continues, and fails at its end
            self.failed.append(f"{fault}: {error}")
        else:
            with self._lock:
                self.done[fault.kind] += 1
        self._note(f"over: {fault}")

    def _note(self, text: str) -> None:
        with self._lock:
            print(f"{time.strftime('%H:%M:%S')} {text}", file=self._journal, flush=True)

    def _act(self, fault: Fault) -> None:
        match fault.kind:
            case Kind.KILL | Kind.TERMINATE | Kind.STOP | Kind.STOP_LONG:
                self._on_a_worker(fault, self._pods[fault.target])
            case Kind.STORM:
                self._storm()
            case Kind.SESSION_ENDED | Kind.LEDGER_LOCKED:
                self._in_the_database(fault)
            case Kind.POSTGRES_CRASH:
                self._servers.crash_postgres()
                time.sleep(fault.seconds)
                self._servers.postgres.start()
            case Kind.KAFKA_KILLED:
                self._servers.kafka.kill()
                time.sleep(fault.seconds)
                self._servers.kafka.start()
            case Kind.COMMIT_UNSENT | Kind.COMMIT_UNANSWERED | Kind.COMMIT_ANSWERED:
                self._cut(_CUTS[fault.kind])
            case _:
                self._on_the_network(fault)

    def _on_a_worker(self, fault: Fault, pod: Pod) -> None:
        match fault.kind:
            case Kind.KILL:
                pod.kill()
            case Kind.TERMINATE:
                pod.terminate()
            case _:
                with pod.stopped():
                    time.sleep(fault.seconds)

    def _storm(self) -> None:
        """Another member joins and leaves, three times."""
        for _ in range(3):
            with self._extra() as pod:
                eventually(lambda pod=pod: pod.said("assigned"), what="the further member's assignment")
            if pod.ended_by_itself:
                raise AssertionError(f"the further member: {pod.ended_by_itself}")

    def _in_the_database(self, fault: Fault) -> None:
        deadline = time.monotonic() + DATABASE_BACK_WITHIN
        while True:
            try:
                with psycopg.connect(self._database_url, connect_timeout=5) as connection:
                    self._end_a_session(connection, fault) if fault.kind is Kind.SESSION_ENDED else self._lock_a_row(
                        connection, fault
                    )
                return
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _end_a_session(self, connection: psycopg.Connection, fault: Fault) -> None:
        pids = [pid for (pid,) in connection.execute(f"SELECT pid {_OURS} ORDER BY pid".encode(), ())]
        if not pids:
            raise psycopg.OperationalError("no session of the sink's now")
        connection.execute("SELECT pg_terminate_backend(%s)", [pids[fault.target % len(pids)]])

    def _lock_a_row(self, connection: psycopg.Connection, fault: Fault) -> None:
        connection.execute("SELECT FROM inbox.partitions WHERE partition = %s FOR UPDATE", [fault.target])
        time.sleep(fault.seconds)

    def _cut(self, cut: Cut) -> None:
        proxy = self._servers.postgres_proxy
        before = proxy.cuts[cut]
        proxy.cut(cut)
        eventually(lambda: proxy.cuts[cut] > before, within=CUT_WITHIN, what=f"a COMMIT for {cut}")

    def _on_the_network(self, fault: Fault) -> None:
        of_kafka = fault.kind in (Kind.KAFKA_RESET, Kind.KAFKA_SILENT, Kind.KAFKA_SLOW)
        proxy = self._servers.kafka_proxy if of_kafka else self._servers.postgres_proxy
        match fault.kind:
            case Kind.KAFKA_RESET | Kind.DATABASE_RESET:
                proxy.reset()
            case Kind.KAFKA_SILENT | Kind.DATABASE_SILENT:
                with proxy.blackhole():
                    time.sleep(fault.seconds)
            case _:
                proxy.delay_seconds = SLOW_SECONDS
                time.sleep(fault.seconds)
                proxy.delay_seconds = 0.0
