"""Options that several commands share."""

import pytest
from click.testing import CliRunner

from inbox.cli.program import program


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
