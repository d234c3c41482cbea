"""`inbox dev up` and `inbox demo`, as far as they come without servers."""

import sys
from pathlib import Path

import pytest

from inbox.cli.program import result_of


@pytest.mark.parametrize(("command", "module"), [(["dev", "up"], "inbox.dev.up"), (["demo"], "inbox.dev.demo")])
def test_without_the_extra_they_say_how_to_install_it(
    command: list[str], module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Absent:
        def find_spec(self, name: str, *_: object) -> None:
            if name == module:
                raise ModuleNotFoundError("No module named 'jgo'", name="jgo")

    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "meta_path", [Absent(), *sys.meta_path])

    assert result_of(command) == 3
    assert capsys.readouterr().err == 'inbox: this needs jgo of the extra "dev"; run: pip install "kafka-inbox[dev]"\n'


def test_dev_up_overwrites_no_configuration(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine = tmp_path / "inbox.toml"
    mine.write_text("mine")

    assert result_of(["dev", "up", "--config", str(mine)]) == 3

    assert "exists already; remove it or choose another with --config" in capsys.readouterr().err
    assert mine.read_text() == "mine"
