"""The promise under SIGKILL, on both sides of every step: nothing is lost and nothing is applied twice."""

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from inbox.failpoints import Failpoint
from tests.conftest import MakeTopic
from tests.e2e import checker
from tests.e2e.crashes import KILLS, PARTITIONS, SEED, CrashedSink, Crashes
from tests.support.sinks import offer_handlers

pytestmark = pytest.mark.heavy

SINKS = 4
"""Each killed on its own, at the same time: most of a start is waiting. The last one has no handler."""


@pytest.mark.timeout(max(900, 4 * KILLS))
def test_killed_at_every_step_nothing_is_lost_and_nothing_is_doubled(
    tmp_path: Path,
    bootstrap_servers: str,
    make_topic: MakeTopic,
    make_database: Callable[[], str],
    record_testsuite_property: Callable[[str, object], None],
) -> None:
    packages = offer_handlers(tmp_path / "packages", {"record": "tests.e2e.effects:record"})
    topics = [make_topic(partitions=PARTITIONS) for _ in range(SINKS)]
    databases = [make_database() for _ in range(SINKS)]
    sinks = [
        CrashedSink(
            tmp_path,
            seed=f"{SEED}-{number}",
            bootstrap_servers=bootstrap_servers,
            topic=topic,
            database_url=database,
            packages=packages,
            handlers=number < SINKS - 1,
        )
        for number, (topic, database) in enumerate(zip(topics, databases, strict=True))
    ]
    with ThreadPoolExecutor(SINKS) as pool:
        crashes: list[Crashes] = list(pool.map(lambda sink: sink.survive(-(-KILLS // SINKS)), sinks))
    findings = [
        checker.examine(bootstrap_servers, topic, database, sink.history.committed)
        for sink, topic, database in zip(sinks, topics, databases, strict=True)
    ]
    kills = sum((each.kills for each in crashes), Counter())
    figures = {
        "seed": SEED,
        "kills": sum(kills.values()),
        "records": sum(each.records for each in findings),
        "lost": sum(each.lost for each in findings),
        "doubled": sum(each.doubled for each in findings),
        **{f"killed {where}": count for where, count in sorted(kills.items())},
    }
    for name, figure in figures.items():
        record_testsuite_property(name, figure)
    print(figures)
    wrong = [checker.described(each) for each in findings if each.problems]
    assert not wrong, f"seed {SEED} (INBOX_TEST_SEED={SEED} repeats it), {figures}:\n" + "\n".join(wrong)
    if KILLS >= 200:
        assert {point.value for point in Failpoint} <= set(kills), "a step was never the place of a kill"
