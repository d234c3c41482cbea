"""From database to database: nothing lost, nothing of a rolled-back order, every aggregate in order, effects once.

pytestmark = pytest.mark.heavy

`make outbox` runs it with 200,000 orders, 50 SIGKILLs and 5 restarts of Kafka for each mode of the relay.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from inbox.dev.local.kafka import LocalKafka
from inbox.store.options import DatabaseOptions, OutboxOptions
from inbox.store.schema.migrate import migrate
from tests.e2e.outbox_trial import PARTITIONS, Amount, OutboxTrial
from tests.support.kafka_topics import create_topic, unique_name

AMOUNT = Amount(
    orders=int(os.environ.get("OUTBOX_ORDERS", "2000")),
    kills=int(os.environ.get("OUTBOX_KILLS", "2")),
    restarts=int(os.environ.get("OUTBOX_RESTARTS", "1")),
)
WITHIN_SECONDS = 240 + AMOUNT.orders / 200
SEED = int(os.environ.get("OUTBOX_SEED", "8"))


@pytest.fixture(scope="module")
def own_kafka() -> Iterator[LocalKafka]:
    """A Kafka that may be restarted."""
    kafka = LocalKafka()
    kafka.start()
    yield kafka
    kafka.close()


@pytest.mark.timeout(600 + AMOUNT.orders / 20)
@pytest.mark.parametrize("transactional", [False, True], ids=["plain", "transactional"])
def test_orders_events_and_effects_agree(
    tmp_path: Path, database_url: str, own_kafka: LocalKafka, transactional: bool
) -> None:
    migrate(DatabaseOptions(url=SecretStr(database_url)), outbox=OutboxOptions())
    trial = OutboxTrial(
        tmp_path,
        url=database_url,
        servers=own_kafka.address,
        topic=create_topic(own_kafka.address, unique_name("orders"), PARTITIONS),
        transactional=transactional,
        restart=own_kafka.restart,
    )

    found = trial.run(AMOUNT, seed=SEED, within=WITHIN_SECONDS)

    print(dict(found.happened))
    assert found.wrong == []
    assert found.happened["kills"] == AMOUNT.kills
