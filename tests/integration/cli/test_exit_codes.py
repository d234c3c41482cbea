"""What each kind of end is told as, to a person and to a script."""

import subprocess
from collections.abc import Callable

import pytest

from tests.integration.cli.conftest import Result, Sink

Inbox = Callable[..., Result]
SECRET = "hunter2"
NOWHERE = f"postgresql://inbox:{SECRET}@127.0.0.1:1/inbox"


@pytest.fixture
def unmigrated(sink: Sink) -> Sink:
    """The sink on a schema that nobody has migrated."""
    sink.sql("DROP SCHEMA inbox CASCADE")
    return sink


def test_a_wrong_configuration_is_3(sink: Sink, inbox: Inbox) -> None:
    sink.config.write_text(sink.config.read_text().replace("mode", "moed"))
    result = inbox("run", sink)
    assert result.code == 3
    assert "routes[0].table.moed" in result.err


def test_a_schema_that_was_never_migrated_is_3(unmigrated: Sink, inbox: Inbox) -> None:
    assert inbox("run", unmigrated) == (
        3,
        "",
        'inbox: the schema "inbox" holds no tables of the inbox; run `inbox migrate`\n',
    )


def test_a_topic_that_is_not_there_is_3_at_once(sink: Sink, inbox: Inbox) -> None:
    sink.configure(topic="nobody.made.this")
    result = inbox("run", sink)
    assert result.code == 3
    assert "inbox: the cluster has no topic nobody.made.this" in result.err


def test_a_refused_password_is_3_at_once(sink: Sink, inbox: Inbox) -> None:
    sink.configure(database_url=sink.database_url.replace("postgres:", "nobody-has-this-name:"))
    result = inbox("run", sink)
    assert result.code == 3, result.err


def test_a_log_that_lacks_what_the_ledger_needs_is_4(sink: Sink, inbox: Inbox) -> None:
    assert inbox("run", "--until-end", sink).code == 0
    sink.sql("UPDATE inbox.partitions SET next_offset = 99")

    result = inbox("run", sink)

    assert result.code == 4
    assert result.err.splitlines() == [
        f"inbox: {sink.topic}[{partition}]: the ledger expects offset 99 next, but the log holds offsets 0 up to 0: "
        f"it was truncated, or the topic was recreated; decide with `inbox resume --topic {sink.topic}:{partition} "
        "--from-offset 0 --accept-loss`"
        for partition in (0, 1)
    ]


@pytest.mark.parametrize("command", [["run"], ["migrate"], ["migrate", "--check"], ["status"], ["check"]])
def test_a_database_that_does_not_answer_is_1_and_no_secret_is_shown(
    sink: Sink, inbox: Inbox, command: list[str]
) -> None:
    sink.configure(database_url=NOWHERE)
    sink.config.write_text(sink.config.read_text().replace('"60s"', '"0s"'))
    result = inbox(*command, sink)
    assert result.code == 1
    assert "Connection refused" in result.out + result.err
    assert SECRET not in result.out + result.err


def test_brokers_that_do_not_answer_are_1(sink: Sink, inbox: Inbox) -> None:
    sink.configure(bootstrap_servers="127.0.0.1:1")
    sink.config.write_text(sink.config.read_text().replace('"60s"', '"0s"'))
    result = inbox("run", sink)
    assert result.code == 1
    assert "asking the brokers at 127.0.0.1:1" in result.err


@pytest.mark.parametrize("arguments", [["bogus"], ["run", "--workers", "0"], ["run", "-X", SECRET], ["migrate", "x"]])
def test_wrong_usage_is_2(inbox: Inbox, arguments: list[str]) -> None:
    result = inbox(*arguments)
    assert result.code == 2
    assert "Usage: inbox" in result.err
    assert SECRET not in result.err


def test_a_defect_is_1_with_a_traceback_that_shows_no_secret(
    sink: Sink, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink.configure(database_url=NOWHERE)

    def defect(settings: object) -> None:
        raise RuntimeError(f"cannot divide {NOWHERE}, least of all {SECRET}")

    monkeypatch.setattr("inbox.cli.commands.status.read_status", defect)
    result = inbox("status", sink)
    assert result.code == 1
    assert "Traceback" in result.err
    assert "RuntimeError: cannot divide" in result.err
    assert SECRET not in result.err


def test_a_reader_that_goes_away_is_no_traceback(sink: Sink, start: Callable[..., "subprocess.Popen[str]"]) -> None:
    process = start("status", "--json", sink)
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(timeout=120) == 1
