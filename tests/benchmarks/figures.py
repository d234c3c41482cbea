"""What a comparison found: its figures, as a table, as ratios and as one JSON document."""

import os
import platform
import statistics
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version

from inbox.dev.backends import Servers
from tests.benchmarks.contenders import (
    AVRO,
    ENVELOPED,
    OURS,
    PEER,
    PEER_OF_TWO,
    PROTOBUF,
    SET_BASED,
    UPDATES,
    WITHOUT_CLAIMS,
)


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


def ratios(results: Results) -> dict[str, float]:
    """What one run says of two of its contenders, round by round: the medians."""
    in_records = ", schema in records"
    two, handler, batch = f"{OURS}, 2 workers", "kafka-inbox, handler per event", "kafka-inbox, handler per batch"
    loop = "psycopg loop, executemany of 5,000"
    rates = [
        (OURS, PEER),
        (WITHOUT_CLAIMS, PEER),
        (WITHOUT_CLAIMS, OURS),
        (f"{OURS}{UPDATES}", f"{PEER}{UPDATES}"),
        (f"{WITHOUT_CLAIMS}{UPDATES}", f"{PEER}{UPDATES}"),
        (f"{OURS}{UPDATES}", OURS),
        (OURS, f"{PEER}{in_records}"),
        (two, PEER_OF_TWO),
        (two, f"{PEER_OF_TWO}{in_records}"),
        (OURS, WRITE),
        (OURS, "Quix Streams PostgreSQL sink"),
        (handler, "psycopg loop, execute, 5,000 a transaction"),
        *((each, loop) for each in (handler, batch, SET_BASED)),
        *((each, OURS) for each in (AVRO, PROTOBUF, ENVELOPED)),
    ]
    found = {f"rate: {ours} / {peer}": _ratio(results, ours, peer, _rate) for ours, peer in rates}
    found |= {f"CPU: {OURS} / {peer}": _ratio(results, OURS, peer, _cpu) for peer in (PEER, f"{PEER}{in_records}")}
    found |= {f"CPU: {WITHOUT_CLAIMS} / {peer}": _ratio(results, WITHOUT_CLAIMS, peer, _cpu) for peer in (OURS, PEER)}
    found |= {f"server CPU: {each} / {OURS}": _ratio(results, each, OURS, _server_cpu) for each in (AVRO, PROTOBUF)}
    return {name: ratio for name, ratio in found.items() if ratio is not None}


def report(results: Results, running: Servers) -> dict[str, object]:
    """All of it, with what somebody needs to repeat it."""
    return {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": running.description,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in ("kafka-inbox", "confluent-kafka", "psycopg")},
        "commit": subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True).stdout.strip(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "ratios": ratios(results),
        "rounds": {name: [asdict(figures) for figures in rounds] for name, rounds in results.items()},
    }


def _ratio(results: Results, ours: str, peer: str, value: Callable[[Figures], float]) -> float | None:
    pairs = zip(results.get(ours, ()), results.get(peer, ()), strict=False)
    found = [value(mine) / value(theirs) for mine, theirs in pairs]
    return statistics.median(found) if found else None


def _rate(figures: Figures) -> float:
    return figures.events_per_second


def _cpu(figures: Figures) -> float:
    return figures.client_cpu + figures.server_cpu


def _server_cpu(figures: Figures) -> float:
    return figures.server_cpu
