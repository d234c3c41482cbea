"""`inbox status`"""

import json
from collections.abc import Callable
from datetime import datetime

import pytest

from tests.integration.cli.conftest import Result, Sink

Inbox = Callable[..., Result]


def test_json_has_the_shape_that_scripts_rely_on(sink: Sink, inbox: Inbox) -> None:
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    sink.produce(10)

    result = inbox("status", "--json", sink)

    told = json.loads(result.out)
    assert (result.code, result.err) == (0, "")
    assert list(told) == ["sink", "schema", "partitions", "totals", "dead_letters", "same_id_other_payload", "horizon"]
    assert (told["sink"], told["schema"], told["horizon"]) == (sink.name, "inbox", None)
    assert told["totals"] == {"applied": 20, "duplicate": 0, "filtered": 0, "dead_lettered": 0}
    assert told["dead_letters"] == {"parked": 0, "waiting": 0}
    assert [(row["topic"], row["partition"]) for row in told["partitions"]] == [(sink.topic, 0), (sink.topic, 1)]
    assert {row["partition"]: row["next_offset"] for row in told["partitions"]} == sink.next_offsets()
    assert sum(row["end_offset"] for row in told["partitions"]) == 30
    assert sum(row["lag"] for row in told["partitions"]) == 10


def test_a_partition_tells_its_owner_and_its_progress(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    row = json.loads(inbox("status", "--json", sink).out)["partitions"][0]
    assert list(row) == [
        *("topic", "partition", "next_offset", "end_offset", "lag", "owner", "owner_epoch", "last_progress_at")
    ]
    assert (type(row["owner"]), row["owner_epoch"]) == (str, 1)
    assert datetime.fromisoformat(row["last_progress_at"]).tzinfo is not None


def test_when_the_brokers_are_away_the_ledger_is_told_all_the_same(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.configure(bootstrap_servers="127.0.0.1:1")

    result = inbox("status", "--json", sink)

    assert result.code == 0
    assert "inbox: no end offsets and no lag: asking the brokers at 127.0.0.1:1" in result.err
    assert [(row["end_offset"], row["lag"]) for row in json.loads(result.out)["partitions"]] == [(None, None)] * 2


def test_a_sink_that_never_ran_has_no_partitions(sink: Sink, inbox: Inbox) -> None:
    assert json.loads(inbox("status", "--json", sink).out)["partitions"] == []


def test_people_get_a_table(sink: Sink, inbox: Inbox) -> None:
    sink.produce(20)
    assert inbox("run", "--until-end", sink).code == 0
    result = inbox("status", sink)
    assert (result.code, result.err) == (0, "")
    assert "lag 0; 20 applied, 0 duplicate, 0 filtered, 0 dead-lettered" in result.out
    assert result.out.count(sink.topic) == 2


@pytest.mark.parametrize("state", ["parked", "waiting"])
def test_dead_letters_are_counted_by_state(sink: Sink, inbox: Inbox, state: str) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql(
        "INSERT INTO inbox.dead_letters (route_id, partition_id, kafka_offset, error_class, error, state) "
        "SELECT route_id, partition_id, 7, 'EventError', 'no', 'parked' FROM inbox.routes, inbox.partitions"
    )
    sink.sql(f"UPDATE inbox.dead_letters SET state = '{state}'")  # noqa: S608 - a word of the test's own
    counted = json.loads(inbox("status", "--json", sink).out)["dead_letters"]
    assert counted == {"parked": 0, "waiting": 0, state: 2}
