"""Options that several commands share."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from inbox.cli.program import program, result_of
from inbox.process.supervisor import worker_command


@pytest.mark.parametrize(
    "name", ["sasl.password", "ssl.key.password", "sasl.oauthbearer.config", "sasl.oauthbearer.client.secret"]
)
@pytest.mark.parametrize("command", ["run", "check", "status", "relay"])
def test_a_secret_on_the_command_line_is_refused_with_the_ways_to_give_it(command: str, name: str) -> None:
    result = CliRunner().invoke(program, [command, "-X", f"{name}=hunter2"])

    assert result.exit_code == 2
    assert "hunter2" not in result.output
    said = " ".join(result.output.split())
    assert f"INBOX_KAFKA__{name.replace('.', '_').upper()}" in said
    assert f"kafka__{name.replace('.', '_')}" in said


@pytest.mark.parametrize(
    "arguments",
    [
        ["-Xsasl.password=hunter2"],
        ["-X", "sasl.password = hunter2"],
        ["-X", "SASL.Password=hunter2"],
        ["-X", "sasl_password=hunter2"],
        ["-X=sasl.password=hunter2"],
        ["-X", "sasl.password:hunter2"],
        ["-X", "sasl.jaas.config=hunter2"],
        ["-X", "sasl.oauthbearer.token.endpoint.url=https://client:hunter2@idp/token"],
        ["--sasl.password=hunter2"],
        ["sasl.password=hunter2"],
        ["postgresql://inbox:hunter2@db/inbox"],
    ],
)
def test_a_secret_on_the_command_line_is_refused_in_every_form_and_not_repeated(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert result_of(["run", *arguments]) == 2

    shown = capsys.readouterr()
    assert "Usage: inbox run" in shown.err
    assert "hunter2" not in shown.out + shown.err


@pytest.mark.parametrize(
    "url", ["postgresql://inbox:hunter2@db/inbox", "host=db password=hunter2", "postgresql://db/?password=hunter2"]
)
def test_the_database_of_a_test_is_named_without_its_password(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert result_of(["test", "orders.toml", "--database", url]) == 2

    shown = capsys.readouterr()
    assert "PGPASSWORD" in shown.err
    assert "hunter2" not in shown.out + shown.err


def test_a_worker_is_started_with_the_arguments_of_its_supervisor_and_imports_nothing_from_the_working_directory() -> (
    None
):
    command = worker_command(Path("inbox.toml"), [("client.id", "a")], until_end=False)

    assert command[1:] == ["-P", "-m", "inbox", "run", "--supervised", "--config", "inbox.toml", "-X", "client.id=a"]
