"""A sink watched through an outage: its log lines, its probes' answers, and what became of its events."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from inbox.process.health import Health
from inbox.sink.worker.loop import Worker
from inbox.telemetry import REGISTRY
from tests.support.log_lines import capture_logs
from tests.support.sink.running import Out, Sink
from tests.support.waiting import WITHIN_SECONDS, eventually, taking_at_most


@dataclass
class Watched:
    """A running sink with its worker, its health probes and its log lines."""

    sink: Sink
    worker: Worker
    health: Health
    lines: Sequence[Any]
    sent: int = 0

    def send(self, count: int) -> None:
        """Send the next events, with the numbers that follow."""
        numbers = range(self.sent + 1, self.sent + count + 1)
        self.sink.send(*(Out(number, {"event": number}) for number in numbers))
        self.sent += count

    def told(self, event: str) -> list[Any]:
        return [line for line in self.lines if line["event"] == event]

    def away(self) -> set[str]:
        """Return the parts that the sink waits for, by its metric."""
        return {
            sample.labels["reason"]
            for metric in REGISTRY.collect()
            if metric.name == "inbox_paused"
            for sample in metric.samples
            if sample.value
        }

    def eventually_away(self, what: str = "database", *, within: float = WITHIN_SECONDS) -> None:
        eventually(lambda: what in self.away() and self.health.not_ready(), within=within, what=f"{what} to be away")

    def eventually_ready(self, within: float = WITHIN_SECONDS) -> None:
        eventually(lambda: self.health.not_ready() is None, within=within, what="readiness")

    def stays_away(self, seconds: float) -> None:
        """Check that the sink stays live and not ready for this many seconds."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            assert self.health.not_live() is None
            assert self.health.not_ready() is not None
            time.sleep(0.1)

    def eventually_at_full_speed(self, promised_seconds: float) -> None:
        """Wait until the sink is ready and has done 5,000 more events; print both times."""
        with taking_at_most(promised_seconds):
            began = time.monotonic()
            self.eventually_ready()
            ready = time.monotonic()
            self.send(5000)
            self.eventually_all_in()
        print(f"ready {ready - began:.1f} s after it was back, 5,000 events {time.monotonic() - ready:.1f} s later")

    def eventually_all_in(self, within: float = WITHIN_SECONDS) -> None:
        self.sink.eventually_settled(self.sent, within=within)

    def check(self, *, reasons: Sequence[str], membership_kept: bool = True, gone_with_the_table: int = 0) -> None:
        """Check that nothing was lost, doubled or parked, and that the sink became ready by itself.

        The log must have one line at the start for each reason, and one at the end.
        """
        self.eventually_all_in()
        self.eventually_ready()
        eventually(lambda: self.worker.progress.lag == 0, what="lag 0")
        assert self.effects() == list(range(1 + gone_with_the_table, self.sent + 1))
        assert self.sink.endings() == {"applied": self.sent}
        assert self.sink.dead_letters() == []
        assert self.away() == set()
        assert [line["reason"] for line in self.told("outage")] == list(reasons)
        assert len(self.told("outage-over")) == 1
        if membership_kept:
            assert [len(self.told(event)) for event in ("assigned", "revoked", "assignment-lost")] == [1, 0, 0]

    def effects(self) -> list[int]:
        return self.sink.column("SELECT event FROM effects ORDER BY position")


@contextmanager
def watched_sink(sink: Sink) -> Iterator[Watched]:
    """Run the sink while the context lasts."""
    with capture_logs() as lines, sink.running() as worker:
        health = Health()
        health.watch(worker.progress)
        yield Watched(sink, worker, health, lines)


@contextmanager
def watched(sink: Sink) -> Iterator[Watched]:
    """Run the sink while the context lasts, from when it has settled its first 10 events."""
    with watched_sink(sink) as found:
        found.send(10)
        found.eventually_all_in()
        found.eventually_ready()
        yield found
