"""What a comparison found: its figures, as a table, as ratios and as one JSON document."""

import os
import platform
import statistics
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from inbox.dev.backends import Servers


@dataclass(frozen=True)
class Figures:
    """One contender in one round; CPU in seconds per million events, without Kafka's."""

    events: int
    events_per_second: float
    client_cpu: float
    server_cpu: float
    peak_megabytes: float

    def __str__(self) -> str:
        return (
            f"{self.events_per_second:,.0f} events/s, CPU {self.client_cpu:.1f} + {self.server_cpu:.1f} s per million, "
            f"{self.peak_megabytes:,.0f} MB"
        )


Results = Mapping[str, Sequence[Figures]]
CONSUME = "limit: consume only"
WRITE = "limit: claims and upserts only, one connection"
UPDATE = f"{WRITE}, rows that exist"


def median(rounds: Sequence[Figures], field: str) -> float:
    return statistics.median(float(getattr(figures, field)) for figures in rounds)


def table(results: Results) -> str:
    """Markdown, a row for each contender: medians, and the range of the rates."""
    lines = ["| | events/s | client CPU | server CPU | peak memory |", "|---|---|---|---|---|"]
    for name, rounds in results.items():
        rates = [figures.events_per_second for figures in rounds]
        lines.append(
            f"| {name} | {statistics.median(rates):,.0f} ({min(rates):,.0f} to {max(rates):,.0f}) "
            f"| {median(rounds, 'client_cpu'):.1f} | {median(rounds, 'server_cpu'):.1f} "
            f"| {median(rounds, 'peak_megabytes'):,.0f} MB |"
        )
    return "\n".join(lines)


def report(results: Results, ratios: Mapping[str, float], running: Servers) -> dict[str, object]:
    """All of it, with what somebody needs to repeat it."""
    return {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": running.description,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("kafka-inbox", "confluent-kafka", "psycopg")},
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "ratios": dict(ratios),
        "rounds": {name: [asdict(figures) for figures in rounds] for name, rounds in results.items()},
    }
