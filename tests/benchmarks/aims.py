"""The comparisons that a run makes of its contenders, and what the project wants of them."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from tests.benchmarks.contenders import (
    AVRO,
    BATCH_HANDLER,
    ENVELOPED,
    FASTSTREAM,
    HANDLER,
    HANDLER_WITHOUT_CLAIMS,
    IN_RECORDS,
    LOOP,
    LOOP_OF_UPDATES,
    LOOP_ONE_BY_ONE,
    OURS,
    PEER,
    PEER_IN_AVRO,
    PEER_OF_FOUR,
    PROTOBUF,
    QUIX,
    SET_BASED,
    UPDATE_HANDLER,
    UPDATE_HANDLER_WITHOUT_CLAIMS,
    WITHOUT_CLAIMS,
)
from tests.benchmarks.figures import UPDATE, WRITE, Figures, Results
from tests.benchmarks.orders import BY_EVENT, EXIST

MEASURES: dict[str, Callable[[Figures], float]] = {
    "rate": lambda figures: figures.events_per_second,
    "server CPU": lambda figures: figures.server_cpu,
    "CPU": lambda figures: figures.client_cpu + figures.server_cpu,
    "memory": lambda figures: figures.peak_megabytes,
}


@dataclass(frozen=True)
class Comparison:
    """A measure of one contender as a ratio to another's, round by round; the aim is a least or a most, if any."""

    measure: str
    ours: str
    other: str | None
    least: float | None = None
    most: float | None = None

    @property
    def name(self) -> str:
        return f"{self.measure}: {self.ours}" + (f" / {self.other}" if self.other else "")

    @property
    def has_aim(self) -> bool:
        return self.least is not None or self.most is not None

    def value(self, results: Results) -> float | None:
        """Return the median of the rounds' ratios, or of the measure itself; None if one of the two was not run."""
        measure, ours = MEASURES[self.measure], results.get(self.ours, ())
        if self.other is None:
            found = list(map(measure, ours))
        else:
            found = [measure(mine) / measure(theirs) for mine, theirs in _pairs(ours, results.get(self.other, ()))]
        return statistics.median(found) if found else None

    def line(self, value: float) -> str:
        """Return the value as a line of the report, with the aim and whether it was missed."""
        if not self.has_aim:
            return f"{value:8.2f}  {self.name}"
        missed = (self.least is not None and value < self.least) or (self.most is not None and value > self.most)
        aim = f"at least {self.least:.2f}" if self.least is not None else f"at most {self.most:.2f}"
        return f"{value:8.2f}  {self.name} (aim: {aim}{': missed' if missed else ''})"


def _pairs(ours: Sequence[Figures], others: Sequence[Figures]) -> Iterator[tuple[Figures, Figures]]:
    return zip(ours, others, strict=False)


PEER_BY_EVENT, PEER_OF_UPDATES = f"{PEER}{BY_EVENT.suffix}", f"{PEER}{EXIST.suffix}"
UPDATES, UPDATES_WITHOUT_CLAIMS = f"{OURS}{EXIST.suffix}", f"{WITHOUT_CLAIMS}{EXIST.suffix}"

COMPARISONS = [
    Comparison("rate", WITHOUT_CLAIMS, PEER_BY_EVENT, least=4),
    Comparison("rate", WITHOUT_CLAIMS, PEER, least=2.2),
    Comparison("rate", UPDATES_WITHOUT_CLAIMS, PEER_OF_UPDATES, least=2.8),
    Comparison("server CPU", WITHOUT_CLAIMS, PEER_BY_EVENT, most=0.7),
    Comparison("server CPU", WITHOUT_CLAIMS, PEER, most=1),
    Comparison("server CPU", UPDATES_WITHOUT_CLAIMS, PEER_OF_UPDATES, most=1),
    Comparison("CPU", WITHOUT_CLAIMS, PEER_BY_EVENT, most=1 / 3),
    Comparison("CPU", WITHOUT_CLAIMS, PEER, most=0.5),
    Comparison("CPU", UPDATES_WITHOUT_CLAIMS, PEER_OF_UPDATES, most=0.5),
    Comparison("rate", OURS, PEER_BY_EVENT, least=2.9),
    Comparison("rate", OURS, PEER, least=1.5),
    Comparison("rate", UPDATES, PEER_OF_UPDATES, least=2.2),
    Comparison("server CPU", UPDATES, PEER_OF_UPDATES, most=1.3),
    Comparison("rate", HANDLER, LOOP, least=1),
    Comparison("rate", UPDATE_HANDLER, LOOP_OF_UPDATES, least=1),
    Comparison("rate", BATCH_HANDLER, LOOP, least=1.5),
    Comparison("rate", SET_BASED, LOOP, least=1.5),
    Comparison("rate", OURS, WRITE, least=0.9),
    Comparison("rate", UPDATES, UPDATE, least=0.9),
    Comparison("rate", AVRO, WRITE, least=0.9),
    Comparison("memory", OURS, None, most=120),
    # the price of dedupe
    Comparison("rate", WITHOUT_CLAIMS, OURS),
    Comparison("rate", UPDATES_WITHOUT_CLAIMS, UPDATES),
    Comparison("CPU", WITHOUT_CLAIMS, OURS),
    Comparison("CPU", UPDATES_WITHOUT_CLAIMS, UPDATES),
    Comparison("rate", HANDLER_WITHOUT_CLAIMS, HANDLER),
    Comparison("rate", UPDATE_HANDLER_WITHOUT_CLAIMS, UPDATE_HANDLER),
    # the rest
    Comparison("server CPU", OURS, PEER_BY_EVENT),
    Comparison("server CPU", OURS, PEER),
    Comparison("CPU", OURS, PEER_BY_EVENT),
    Comparison("CPU", OURS, PEER),
    Comparison("CPU", UPDATES, PEER_OF_UPDATES),
    Comparison("rate", UPDATES, OURS),
    Comparison("rate", UPDATE_HANDLER_WITHOUT_CLAIMS, LOOP_OF_UPDATES),
    Comparison("rate", f"{OURS}, 2 workers", PEER_OF_FOUR),
    Comparison("rate", f"{OURS}, 2 workers", f"{PEER_OF_FOUR}{BY_EVENT.suffix}"),
    Comparison("rate", f"{OURS}, 2 workers", f"{PEER_OF_FOUR}{IN_RECORDS}"),
    Comparison("rate", OURS, f"{PEER}{IN_RECORDS}"),
    Comparison("CPU", OURS, f"{PEER}{IN_RECORDS}"),
    Comparison("rate", AVRO, PEER_IN_AVRO),
    Comparison("rate", OURS, QUIX),
    Comparison("rate", OURS, FASTSTREAM),
    Comparison("rate", HANDLER, LOOP_ONE_BY_ONE),
    *(Comparison("rate", each, OURS) for each in (AVRO, PROTOBUF, ENVELOPED)),
    *(Comparison("server CPU", each, OURS) for each in (AVRO, PROTOBUF)),
]


def names_of_aims() -> list[str]:
    """Return the names of the contenders and limits of which an aim speaks."""
    aims = [each for each in COMPARISONS if each.has_aim]
    return list(dict.fromkeys(name for each in aims for name in (each.ours, each.other) if name))
