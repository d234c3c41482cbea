"""What an event costs as claims pile up, while they are pruned, over parked events and over many partitions.

Every run is the real `inbox run --until-end`, fsync on, on a database where claims were made on the server as a sink
would have left them. Round by round all of them take the same new events, each after a checkpoint, so that what other
work on the machine costs is spread over them; what they are compared with is of the same round. Rows and the ledger are
counted afterwards.
"""

import argparse
import json
import os
import platform
import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from inbox.dev.backends import Servers, servers
from tests.benchmarks.claims import RANDOM_IDS, TIME_ORDERED_IDS, Kind, add, pile_up, regrow, shares
from tests.benchmarks.growth_run import KEPT_SHORTLY, Cost, Ground, ground
from tests.benchmarks.orders import PARTITIONS, fill
from tests.support.kafka_topics import create_topic

LETTERS = 1000
MANY_PARTITIONS = 500
AIM = 0.9

PARK = """
INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, key, error_class, error, state)
SELECT r.route_id, p.partition_id, n, convert_to('parked ' || n, 'UTF8'), 'ValueError', 'no', 'parked'
FROM inbox.routes AS r, inbox.partitions AS p, generate_series(0, %s) AS n
"""

PASS_TIME = """
UPDATE inbox.generations
SET opened_at = opened_at - interval '1 day',
    closed_at = clock_timestamp() - CASE WHEN generation = (SELECT min(generation) FROM inbox.generations)
        THEN interval '6 min' ELSE interval '10 s' END
WHERE generation < (SELECT max(generation) FROM inbox.generations)
"""
YOUNGEST_IS_DUE = """
UPDATE inbox.generations SET opened_at = clock_timestamp() - interval '1 min' WHERE closed_at IS NULL
"""
PRUNED = """
SELECT min(generation) = %s AND count(*) = 4 AND bool_and(closed_at IS NULL OR filter_bits IS NOT NULL)
FROM inbox.generations
"""


@dataclass
class Report:
    """Costs of each case, round by round; and of each prune the size that it left."""

    cases: dict[str, list[Cost]] = field(default_factory=dict)
    sizes: list[int] = field(default_factory=list)
    filter_seconds_per_million: list[float] = field(default_factory=list)

    def add(self, case: str, cost: Cost) -> None:
        self.cases.setdefault(case, []).append(cost)
        print(f"{case:40} {cost}", flush=True)


def measure(running: Servers, options: argparse.Namespace) -> Report:
    report = Report()
    _piles(running, options, report)
    _cycles(running, options, report)
    return report


def _case(kind: Kind, claims: int) -> str:
    return f"{kind.name}, {claims:,} claims"


def _piles(running: Servers, options: argparse.Namespace, report: Report) -> None:
    """Over claims, over parked events, and over many partitions."""
    with ExitStack() as opened:
        topics = {kind: create_topic(running.bootstrap_servers, partitions=PARTITIONS) for kind in _KINDS}
        many = create_topic(running.bootstrap_servers, partitions=MANY_PARTITIONS)

        def enter(name: str, topic: str) -> Ground:
            return opened.enter_context(ground(running, name, [topic]))

        grounds = [
            (kind, claims, enter(f"{kind.name} {claims}", topics[kind])) for kind in _KINDS for claims in options.claims
        ]
        letters, partitions = enter("letters", topics[RANDOM_IDS]), enter("partitions", many)
        for kind, topic in topics.items():
            fill(running.bootstrap_servers, topic, LETTERS * PARTITIONS, new_id=kind.new_id)
        fill(running.bootstrap_servers, many, LETTERS * PARTITIONS, partitions=MANY_PARTITIONS)
        for made in (*(each[2] for each in grounds), letters, partitions):
            made.run(LETTERS * PARTITIONS)  # also registers the sink, its routes and partitions
        for kind, claims, made in grounds:
            with made.sink_connection() as connection:
                seconds = pile_up(connection, kind, shares(claims))
            if claims:
                report.filter_seconds_per_million.append(seconds / claims * 1e6)
        letters.watcher.execute(PARK.encode(), (LETTERS // PARTITIONS - 1,))
        events = options.warm_up + options.events

        def run(made: Ground, kind: Kind = RANDOM_IDS, claims: int = 0) -> Cost:
            regrow(made.watcher, kind, shares(claims))
            return made.run(events, warm_up=options.warm_up)

        for _ in range(options.rounds):
            for kind, topic in topics.items():
                fill(running.bootstrap_servers, topic, events, new_id=kind.new_id)
            fill(running.bootstrap_servers, many, events, partitions=MANY_PARTITIONS)
            for kind, claims, made in grounds:
                report.add(_case(kind, claims), run(made, kind, claims))
            report.add(PARKED, run(letters))
            report.add(PARTITIONED, run(partitions))


def _cycles(running: Servers, options: argparse.Namespace, report: Report) -> None:
    """Prunes of a generation each, by the sink itself, beside the same without; the tables are measured after each.

    Each generation is as large as the others when another takes over from it.
    """
    topic = create_topic(running.bootstrap_servers, partitions=PARTITIONS)
    with ground(running, "cycles", [topic]) as made:
        fill(running.bootstrap_servers, topic, LETTERS * PARTITIONS)
        made.run(LETTERS * PARTITIONS)
        with made.sink_connection() as connection:
            pile_up(connection, RANDOM_IDS, [options.cycle_claims] * 3 + [0])
        for cycle in range(options.cycles):
            youngest = made.youngest()
            missing = options.cycle_claims - options.cycle_events - made.claims_in(youngest)
            add(made.watcher, RANDOM_IDS, youngest, missing)
            fill(running.bootstrap_servers, topic, options.cycle_events)
            report.add(NOT_PRUNING, made.run(options.cycle_events))
            fill(running.bootstrap_servers, topic, options.cycle_events)
            made.watcher.execute(PASS_TIME)
            made.watcher.execute(YOUNGEST_IS_DUE)
            report.add(PRUNING, made.run(options.cycle_events, retention=KEPT_SHORTLY))
            if made.watcher.execute(PRUNED, (cycle + 1,)).fetchone() != (True,):
                raise SystemExit("not one generation went and another took over; more or fewer --cycle-events")
            report.sizes.append(made.sizes())
            print(f"{'':40} {report.sizes[-1] / 1e6:,.0f} MB of claims, indexes and filters", flush=True)


_KINDS = (RANDOM_IDS, TIME_ORDERED_IDS)
PARKED = f"{LETTERS:,} events parked"
PARTITIONED = f"{MANY_PARTITIONS} partitions"
NOT_PRUNING, PRUNING = "four full generations", "the same, while one is pruned"


def table(report: Report) -> str:
    """Markdown: medians, and how they compare with the case that each is held against."""
    lines = [
        "| | events/s | of the compared | worker CPU | server CPU | WAL | peak memory |",
        "|---|---|---|---|---|---|---|",
    ]
    for case, costs in report.cases.items():
        ratio = ratios(report).get(case)
        lines.append(
            f"| {case} | {_median(costs, _rate):,.0f} | {'' if ratio is None else f'{ratio[0]:.2f}'} "
            f"| {_median(costs, lambda c: c.worker_cpu):.1f} us | {_median(costs, lambda c: c.server_cpu):.1f} us "
            f"| {_median(costs, lambda c: c.wal_bytes):,.0f} B | {max(c.peak_megabytes for c in costs):.0f} MB |"
        )
    return "\n".join(lines)


def ratios(report: Report) -> dict[str, tuple[float, float]]:
    """Rates and CPU beside what a case is held against, round by round: the medians."""
    return {
        case: (_ratio(costs, report.cases[other], _rate), _ratio(costs, report.cases[other], _cpu))
        for case, costs in report.cases.items()
        if (other := _held_against(case, list(report.cases))) is not None
    }


def _held_against(case: str, cases: Sequence[str]) -> str | None:
    if case == PRUNING:
        return NOT_PRUNING
    empty = [f"{kind.name}, 0 claims" for kind in _KINDS]
    if case in (NOT_PRUNING, *empty):
        return None
    beside = empty[1] if case.startswith(TIME_ORDERED_IDS.name) else empty[0]
    return beside if beside in cases else None


def _ratio(mine: Sequence[Cost], other: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    return statistics.median(of(a) / of(b) for a, b in zip(mine, other, strict=True))


def _rate(cost: Cost) -> float:
    return cost.events_per_second


def _cpu(cost: Cost) -> float:
    return cost.worker_cpu + cost.server_cpu


def _median(costs: Sequence[Cost], of: Callable[[Cost], float]) -> float:
    return statistics.median(map(of, costs))


def verdicts(report: Report) -> Iterator[str]:
    """Each aim, and whether this run reached it."""
    for case, (rate, cpu) in ratios(report).items():
        yield f"{rate:5.2f} of the rate, {cpu:4.2f} of the CPU: {case}{'' if rate >= AIM else f' (aim {AIM}: missed)'}"
    if report.sizes:
        growth = report.sizes[-1] / report.sizes[0]
        yield f"{growth:5.2f} of the size after the first prune, after {len(report.sizes)}"


def document(report: Report, running: Servers, options: argparse.Namespace) -> dict[str, object]:
    return {
        "machine": platform.platform(),
        "cores": os.cpu_count(),
        "servers": running.description,
        "python": platform.python_version(),
        "at": datetime.now(UTC).isoformat(timespec="minutes"),
        "options": {name: value for name, value in vars(options).items() if name != "output"},
        "ratios": {case: {"rate": rate, "cpu": cpu} for case, (rate, cpu) in ratios(report).items()},
        "bytes_after_each_prune": report.sizes,
        "filter_seconds_per_million_claims": report.filter_seconds_per_million,
        "rounds": {case: [asdict(cost) for cost in costs] for case, costs in report.cases.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--claims", type=int, nargs="*", default=[0, 5_000_000, 20_000_000])
    parser.add_argument("--events", type=int, default=400_000, help="of each run over claims")
    parser.add_argument("--warm-up", type=int, default=200_000, help="events before them that do not count")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cycles", type=int, default=5, help="prunes, one after the other")
    parser.add_argument("--cycle-claims", type=int, default=5_000_000, help="of each generation")
    parser.add_argument("--cycle-events", type=int, default=1_000_000, help="of each run with and without a prune")
    parser.add_argument("--output", type=Path, default=Path("growth.json"))
    options = parser.parse_args()
    with servers(progress=print) as running:
        print(f"{running.description}, {os.cpu_count()} cores")
        report = measure(running, options)
        found = document(report, running, options)
    options.output.write_text(json.dumps(found, indent=2) + "\n")
    print(f"\n{table(report)}\n")
    print("\n".join(verdicts(report)))


if __name__ == "__main__":
    main()
