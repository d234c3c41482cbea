"""A planted secret in the output of a test makes that test fail, and is not shown."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECRET = "open-sesame/42"
TESTS = f"""
import logging
import subprocess
import sys
from urllib.parse import quote

import pytest

from tests.support.planted import plant, plant_password

SECRET = plant("{SECRET}")
plant_password("postgresql://ada:from-a-url@localhost/db")

def test_quiet():
    assert SECRET

def test_prints():
    print(SECRET)

def test_prints_as_a_url_has_it():
    print(quote(SECRET, safe=""))

def test_prints_the_password_of_a_url():
    print("from-a-url")

def test_logs():
    logging.getLogger("any").warning("it is %s", SECRET)

def test_lets_a_child_print():
    subprocess.run([sys.executable, "-c", "import sys; print(sys.argv[1], file=sys.stderr)", SECRET], check=True)

def test_compares():
    assert SECRET == "close-sesame"

@pytest.fixture
def loud():
    print(SECRET)

def test_has_a_loud_fixture(loud):
    pass
"""


def test_a_planted_secret_in_any_output_of_a_test_makes_it_fail_and_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text("from tests.support.planted import pytest_runtest_makereport\n")
    (tmp_path / "test_it.py").write_text(TESTS)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-rA",
        "-p",
        "no:cacheprovider",
        "--rootdir",
        str(tmp_path),
        str(tmp_path),
    ]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=180)

    text = done.stdout + done.stderr
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, text
    passed = set(re.findall(r"^PASSED test_it\.py::(\w+)", text, re.MULTILINE))
    failed = set(re.findall(r"^(?:FAILED|ERROR) test_it\.py::(\w+)", text, re.MULTILINE))
    assert passed == {"test_quiet"}
    assert failed == set(re.findall(r"^def (test_\w+)", TESTS, re.MULTILINE)) - passed
    assert SECRET not in text
    assert "from-a-url" not in text
