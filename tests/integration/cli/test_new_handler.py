"""`inbox new handler`: the package installs, and its tests pass, as a user would see it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from inbox.cli.program import result_of
from inbox.dev.backends import Servers
from inbox.settings.json_schema import shipped_schema

ROOT = Path(__file__).parents[3]


@pytest.fixture(name="package")
def package_(tmp_path: Path) -> Path:
    """The package of a handler `keep-orders`."""
    assert result_of(["new", "handler", "keep-orders", "--dir", str(tmp_path / "made")]) == 0
    return tmp_path / "made"


def environment(servers: Servers | None, *paths: Path) -> dict[str, str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("INBOX_", "PYTEST_"))}
    if servers is not None:
        environ |= {"INBOX_TEST_KAFKA": servers.bootstrap_servers, "INBOX_TEST_DATABASE": servers.database_url}
    return {**environ, "PYTHONPATH": os.pathsep.join(map(str, (*paths, ROOT)))}


@pytest.mark.timeout(300)
@pytest.mark.long
def test_the_package_installs_and_its_tests_pass(servers: Servers, package: Path, tmp_path: Path) -> None:
    installed = tmp_path / "installed"
    pip = [sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, "--target", str(installed), str(package)], check=True, timeout=120)
    # Of the kills two, one on each side of the COMMIT: `tests.e2e.test_sigkill` has every step.
    only = "not a_kill_at_any_step or claimed or committed"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", only, str(package)],
        cwd=package,
        env=environment(servers, installed),
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 passed" in done.stdout


def test_what_is_made_is_valid_and_names_the_handler(package: Path) -> None:
    project = tomllib.loads((package / "pyproject.toml").read_text())
    assert project["project"]["entry-points"]["inbox.handlers"] == {"keep_orders": "keep_orders.handlers:keep_orders"}
    assert tomllib.loads((package / "inbox.toml").read_text())["routes"][0]["handler"] == "keep_orders"
    assert yaml.safe_load((package / "values.yaml").read_text())["config"]["routes"][0]["handler"] == "keep_orders"
    named = (package / "inbox.toml").read_text().partition("\n")[0].removeprefix("#:schema ")
    assert (package / named).read_text() == shipped_schema()
    assert "## Try it" in (package / "README.md").read_text()


def test_nothing_that_exists_is_overwritten(package: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = (package / "README.md").read_text()
    assert result_of(["new", "handler", "other", "--dir", str(package)]) == 3
    assert "is there already; choose another --dir" in capsys.readouterr().err
    assert (package / "README.md").read_text() == before


@pytest.mark.parametrize("name", ["Keep", "keep orders", "9keep", "keep.orders", "../keep"])
def test_a_name_that_no_module_can_have_is_wrong_usage(name: str, tmp_path: Path) -> None:
    assert result_of(["new", "handler", name, "--dir", str(tmp_path / "made")]) == 2
    assert not (tmp_path / "made").exists()
