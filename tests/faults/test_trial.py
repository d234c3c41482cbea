"""The promise under everything at once: lost 0, doubled 0, out of order 0, wrongly parked 0, restarts by hand 0."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults.servers import KillableServers, killable_servers
from tests.faults.trial import EVENTS, MINUTES, SEED, Trial, described
from tests.support.databases import create_database
from tests.support.ground import prepare_template
from tests.support.kafka_topics import unique_name

pytestmark = pytest.mark.long(seconds=500)

FEWEST_FAULTS = 100
FEWEST_KINDS = 10


@pytest.fixture
def killable() -> Iterator[KillableServers]:
    with killable_servers() as servers:
        yield servers


@pytest.fixture
def trial_database(killable: KillableServers) -> str:
    """A database with the inbox's tables on the server that may be killed."""
    url = create_database(killable.postgres.address, unique_name("trial"))
    prepare_template(url)
    return url


@pytest.mark.timeout(1800 + 120 * MINUTES)
def test_under_faults_of_every_kind_nothing_is_lost_doubled_disordered_or_wrongly_parked(
    killable: KillableServers,
    trial_database: str,
    tmp_path: Path,
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    outcome = Trial(killable, trial_database, tmp_path, SEED).run()

    print(described(outcome))
    for name, figure in outcome.figures().items():
        record_testsuite_property(f"faults: {name}", figure)
    assert not outcome.wrong(), f"FAULTS_SEED={SEED} repeats it; logs are in {tmp_path}\n{described(outcome)}"
    if EVENTS >= FEWEST_FAULTS * 1000:
        assert sum(outcome.faults.values()) >= FEWEST_FAULTS
        assert len(outcome.faults) >= FEWEST_KINDS
