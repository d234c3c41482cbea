"""Which fault comes when: decided by a seed alone, so that it can be repeated."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum


class Kind(StrEnum):
    """What a trial does to its sink."""

    KILL = "worker killed"
    TERMINATE = "worker terminated"
    STOP = "worker stopped for a moment"
    STOP_LONG = "worker stopped through its session"
    STORM = "member joining and leaving"
    SESSION_ENDED = "database session ended"
    LEDGER_LOCKED = "ledger row locked"
    POSTGRES_CRASH = "PostgreSQL crashed"
    COMMIT_UNSENT = "cut before COMMIT"
    COMMIT_UNANSWERED = "cut before COMMIT's answer"
    COMMIT_ANSWERED = "cut after COMMIT's answer"
    DATABASE_RESET = "database connections reset"
    DATABASE_SILENT = "database silent"
    DATABASE_SLOW = "database slow"
    KAFKA_KILLED = "Kafka killed"
    KAFKA_RESET = "Kafka connections reset"
    KAFKA_SILENT = "Kafka silent"
    KAFKA_SLOW = "Kafka slow"


ROUND = {
    Kind.KILL: 4,
    Kind.TERMINATE: 3,
    Kind.STOP: 2,
    Kind.STOP_LONG: 1,
    Kind.STORM: 1,
    Kind.SESSION_ENDED: 5,
    Kind.LEDGER_LOCKED: 2,
    Kind.POSTGRES_CRASH: 2,
    Kind.COMMIT_UNSENT: 3,
    Kind.COMMIT_UNANSWERED: 3,
    Kind.COMMIT_ANSWERED: 2,
    Kind.DATABASE_RESET: 3,
    Kind.DATABASE_SILENT: 1,
    Kind.DATABASE_SLOW: 2,
    Kind.KAFKA_KILLED: 1,
    Kind.KAFKA_RESET: 2,
    Kind.KAFKA_SILENT: 1,
    Kind.KAFKA_SLOW: 2,
}
"""How often each comes in one round; the order inside a round is the seed's."""

FAULTS_A_ROUND = sum(ROUND.values())

SECONDS = {
    Kind.STOP: (0.3, 2.5),
    Kind.STOP_LONG: (8.0, 10.0),  # the session timeout is 6 s
    Kind.LEDGER_LOCKED: (1.0, 4.0),
    Kind.POSTGRES_CRASH: (0.0, 1.0),
    Kind.DATABASE_SILENT: (1.0, 4.0),
    Kind.DATABASE_SLOW: (1.0, 4.0),
    Kind.KAFKA_KILLED: (0.0, 1.0),
    Kind.KAFKA_SILENT: (1.0, 4.0),
    Kind.KAFKA_SLOW: (1.0, 4.0),
}
"""How long those last that have a length, from and to."""

_OF_A_WORKER = (Kind.KILL, Kind.TERMINATE, Kind.STOP, Kind.STOP_LONG)


@dataclass(frozen=True)
class Fault:
    """One fault, due when so many events were sent. `target` is a worker's number, or a pick among what is there."""

    at: int
    kind: Kind
    target: int
    seconds: float

    @property
    def lane(self) -> str:
        """Those of one lane come one after the other, never at once."""
        return f"worker {self.target}" if self.kind in _OF_A_WORKER else _LANES.get(self.kind, self.kind.value)

    def __str__(self) -> str:
        return f"at {self.at}: {self.kind} [{self.target}] {self.seconds:.1f} s"


_LANES = {
    Kind.DATABASE_RESET: "database's network",
    Kind.DATABASE_SILENT: "database's network",
    Kind.DATABASE_SLOW: "database's network",
    Kind.KAFKA_KILLED: "Kafka",
    Kind.KAFKA_RESET: "Kafka's network",
    Kind.KAFKA_SILENT: "Kafka's network",
    Kind.KAFKA_SLOW: "Kafka's network",
}


def plan(seed: str, *, workers: int, every: int) -> Iterator[Fault]:
    """Faults without end, one for each `every` events, at a place of its own among them."""
    rng = random.Random(seed)
    begin = 0
    while True:
        kinds = [kind for kind, count in ROUND.items() for _ in range(count)]
        rng.shuffle(kinds)
        for kind in kinds:
            seconds = rng.uniform(*SECONDS.get(kind, (0.0, 0.0)))
            yield Fault(begin + rng.randrange(every), kind, rng.randrange(workers), seconds)
            begin += every
