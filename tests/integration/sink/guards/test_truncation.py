"""A log that was truncated below the ledger and has grown beyond it again: offsets alone do not show it (KIP-320)."""

import pytest

from inbox.dev.local.kafka import LocalKafka
from inbox.errors import HaltError
from tests.support.sink.logs import effects, send_singly, truncate
from tests.support.sink.running import Out, Sink


def test_a_log_that_was_truncated_and_has_grown_again_halts_with_the_offset_where_it_differs(
    kafka: LocalKafka, cuttable: Sink
) -> None:
    send_singly(cuttable, map(Out, range(1, 11)))
    cuttable.run()
    truncate(kafka, cuttable.topic, 6)
    send_singly(cuttable, map(Out, range(101, 111)))

    with pytest.raises(HaltError) as halt:
        cuttable.run()

    assert str(halt.value) == (
        f"{cuttable.topic}[0]: the log was truncated at offset 6, below the ledger's next offset 10 (leader epoch "
        f"0), and ends at 16 by now; "
        f"decide with `inbox resume --topic {cuttable.topic}:0 --from-offset 6 --accept-loss`"
    )
    assert effects(cuttable) == list(range(1, 11))


def test_a_broker_that_was_restarted_with_a_whole_log_is_gone_on_with(kafka: LocalKafka, cuttable: Sink) -> None:
    send_singly(cuttable, map(Out, range(1, 6)))
    cuttable.run()
    kafka.restart()
    send_singly(cuttable, map(Out, range(6, 11)))
    cuttable.run()
    cuttable.run()
    assert effects(cuttable) == list(range(1, 11))
    assert cuttable.column("SELECT leader_epoch > 0 FROM inbox.partitions") == [True]
