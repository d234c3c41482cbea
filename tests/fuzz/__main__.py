"""Sends events that nobody should send, for MINUTES: `make fuzz MINUTES=60`.

Each round is drawn from a number, so that `--from-round` repeats it. The seeds, events that found something once, come
first. Ends with 1 where anything but applied events and dead letters came of them; the events that show it are written
to `--findings`, from where they may be moved to tests/fuzz/seeds.
"""

import argparse
import itertools
import sys
import tempfile
import time
from pathlib import Path

from pydantic import SecretStr

from inbox.dev.backends import servers
from inbox.store.options import DatabaseOptions
from inbox.store.schema.migrate import migrate
from tests.benchmarks.throughput import database
from tests.fuzz.events import drawn, kept_seeds
from tests.fuzz.trial import FuzzError, Trial, kept

SEEDS = Path(__file__).parent / "seeds"
EVENTS = 300


def run(trial: Trial, minutes: float, first: int) -> None:
    """Raises FuzzError."""
    end, told = time.monotonic() + 60 * minutes, 0.0
    with trial.running():
        if seeds := kept_seeds(SEEDS):
            trial.round(seeds, "seed-")
        for number in itertools.count(first):
            if time.monotonic() > end:
                break
            stem = f"k{number}-"
            trial.round(drawn(number, EVENTS, stem), stem)
            if time.monotonic() - told > 60:
                told = time.monotonic()
                worker, backend = trial.peaks
                print(
                    f"round {number}: {trial.applied} endings without, {trial.letters} with a dead letter;"
                    f" worker {worker:.0f} MB, backend {backend:.0f} MB",
                    flush=True,
                )
        trial.audit()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--from-round", type=int, default=int(time.time()) % 1_000_000, dest="first")
    parser.add_argument("--findings", type=Path, default=Path(tempfile.gettempdir()) / "inbox-fuzz.jsonl")
    given = parser.parse_args()
    print(f"from round {given.first}", flush=True)
    with servers(progress=print) as running, database(running) as url, tempfile.TemporaryDirectory() as directory:
        migrate(DatabaseOptions(url=SecretStr(url)))
        trial = Trial(running.bootstrap_servers, url, Path(directory))
        try:
            run(trial, given.minutes, given.first)
        except FuzzError as error:
            kept(error.events, given.findings)
            print(f"{error}\nthe events that show it: {given.findings}", file=sys.stderr)
            return 1
    print(f"{trial.applied} endings without, {trial.letters} with a dead letter: nothing but these", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
