"""The examples test themselves with the kit, in pytest of their own as a user runs it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inbox.dev.backends import Servers

ROOT = Path(__file__).parents[3]


@pytest.mark.timeout(300)
@pytest.mark.long
@pytest.mark.parametrize(("example", "passed"), [("inventory", 3), ("recipes", 12)])
def test_an_example_passes_its_own_tests(servers: Servers, tmp_path: Path, example: str, passed: int) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\n")  # not the settings of this project
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("INBOX_", "PYTEST_"))}
    environ |= {"INBOX_TEST_KAFKA": servers.bootstrap_servers, "INBOX_TEST_DATABASE": servers.database_url}
    # The whole contract is tried on the package that `inbox new handler` makes.
    contract = (
        "not a_kill and not repeats and not alone_or_in_a_batch and not poison and not of_its_own and not search_path"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", str(tmp_path / "pytest.ini")]
    done = subprocess.run(
        [*command, "-k", contract, str(ROOT / "examples" / example / "tests")],
        cwd=tmp_path,
        env={**environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'examples' / example}"},
        capture_output=True,
        text=True,
        timeout=280,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{passed} passed" in done.stdout
