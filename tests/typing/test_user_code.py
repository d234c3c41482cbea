"""Users who check their types are told of mistakes, and not of anything else, by mypy and by pyright."""

import json
import re
import subprocess
import sys
from pathlib import Path
from shutil import copy

HERE = Path(__file__).parent
USER_CODE = HERE / "user_code.py"

Findings = dict[int, set[str]]


def expected_by(checker: str) -> Findings:
    """The marks in the code, by line."""
    mark = re.compile(rf"# {checker}: ([\w,-]+)")
    lines = enumerate(USER_CODE.read_text().splitlines(), start=1)
    return {number: set(found[1].split(",")) for number, line in lines if (found := mark.search(line))}


def found_by_mypy(cache: Path) -> Findings:
    command = [sys.executable, "-m", "mypy", "--config-file=", "--strict", f"--cache-dir={cache}", str(USER_CODE)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=HERE, check=False)
    findings: Findings = {}
    for number, code in re.findall(r"user_code\.py:(\d+): error: .*\[([\w-]+)\]$", run.stdout, re.MULTILINE):
        findings.setdefault(int(number), set()).add(code)
    assert findings, run.stdout + run.stderr
    return findings


def found_by_pyright(directory: Path) -> Findings:
    # A project of its own, as a user's is; pyright looks at nothing outside of it.
    copy(USER_CODE, directory)
    (directory / "pyrightconfig.json").write_text('{"typeCheckingMode": "strict"}')
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, "-p", str(directory)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    findings: Findings = {}
    for each in json.loads(run.stdout)["generalDiagnostics"]:
        number = each["range"]["start"]["line"] + 1
        findings.setdefault(number, set()).add(each.get("rule", each["message"]))
    return findings


def test_mypy_refuses_just_the_mistakes(tmp_path: Path) -> None:
    assert found_by_mypy(tmp_path) == expected_by("mypy")


def test_pyright_refuses_just_the_mistakes(tmp_path: Path) -> None:
    assert found_by_pyright(tmp_path) == expected_by("pyright")


def test_there_are_mistakes_to_refuse() -> None:
    assert set(expected_by("mypy")) == set(expected_by("pyright"))
    assert len(expected_by("mypy")) >= 10
