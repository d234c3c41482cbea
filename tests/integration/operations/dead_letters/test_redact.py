"""Payloads of dead letters that leave the database, while the record stays."""

import pytest

from tests.integration.sink.conftest import HANDLER_ROUTE, Fussy
from tests.support.sink.running import Sink

PAYLOADS = "SELECT kafka_offset FROM inbox.dead_letters WHERE value IS NOT NULL ORDER BY 1"


def states(sink: Sink) -> list[tuple[int, str]]:
    return sink.dead_letters()


def test_resolved_ones_lose_their_payload_and_open_ones_keep_it(
    parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    fussy.refused = {5}
    parked.command("dead-letters", "retry", "--key", "a", "--execute")
    before = states(parked)
    assert parked.command("dead-letters", "redact", "--all") == 0
    assert "would remove the payloads of 3 dead letters" in capsys.readouterr().out
    assert parked.column(PAYLOADS) == [0, 1, 3, 4]
    assert parked.command("dead-letters", "redact", "--all", "--execute", "--by", "ada") == 0
    assert parked.column(PAYLOADS) == [4]
    assert states(parked) == before
    assert parked.sql("SELECT key, headers FROM inbox.dead_letters WHERE kafka_offset = 0") == [(None, [])]
    assert parked.column("SELECT result FROM inbox.actions WHERE command = 'dead-letters redact'") == [{"redacted": 3}]


def test_a_redacted_open_one_says_so_and_a_replay_applies_it(
    parked: Sink, fussy: Fussy, capsys: pytest.CaptureFixture[str]
) -> None:
    [first] = parked.column("SELECT min(dead_letter_id) FROM inbox.dead_letters")
    assert parked.command("dead-letters", "redact", str(first), "--execute") == 0
    assert "1 of them are open, and only a replay can apply them" in capsys.readouterr().out
    fussy.refused = {5}
    assert parked.command("dead-letters", "retry", str(first), "--execute") == 1
    assert "its payload was removed at" in capsys.readouterr().out
    assert parked.command("dead-letters", "edit", str(first), "--header", "a=b", "--execute") == 1
    assert "was removed by `redact`" in capsys.readouterr().err
    assert parked.command("dead-letters", "show", str(first)) == 0
    assert "its payload is gone" in capsys.readouterr().out
    replay = ("replay", "--topic", f"{parked.topic}:0", "--from-offset", "0", "--until-offset", "1", "--execute")
    assert parked.command(*replay) == 0
    parked.run()
    assert states(parked)[0] == (0, "retried")


def test_prune_redacts_on_schedule(parked: Sink, fussy: Fussy) -> None:
    fussy.refused = {5}
    parked.command("dead-letters", "retry", "--key", "a", "--execute")
    parked.configure(HANDLER_ROUTE, rest='[retention]\ndead_letter_payloads = "1d"')
    assert parked.command("prune", "--execute") == 0
    assert parked.column(PAYLOADS) == [0, 1, 3, 4]
    parked.sql("UPDATE inbox.dead_letters SET resolved_at = now() - interval '2 days' WHERE kafka_offset = 1")
    assert parked.command("prune", "--execute") == 0
    assert parked.column(PAYLOADS) == [0, 3, 4]
