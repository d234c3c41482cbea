"""What Helm makes of the chart."""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.conftest import ROOT

CHART = ROOT / "helm" / "inbox"
EXAMPLES = sorted((CHART / "examples").glob("values-*.yaml"))
OLDEST_KUBERNETES = "1.29"
NEWEST_KUBERNETES = "1.37"


@dataclass(frozen=True)
class Helm:
    """One version of Helm."""

    program: Path

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, check=False, timeout=180)

    def render(self, values: Path, *more: str) -> list[dict[str, Any]]:
        """The objects, hooks among them."""
        done = self.template(values, *more)
        assert done.returncode == 0, done.stderr
        return [document for document in yaml.safe_load_all(done.stdout) if document]

    def template(self, values: Path, *more: str) -> "subprocess.CompletedProcess[str]":
        version = ["--kube-version", f"{OLDEST_KUBERNETES}.0"]
        return self.run("template", "inventory", str(CHART), "-n", "shop", *version, "-f", str(values), *more)


def one(objects: Sequence[dict[str, Any]], kind: str, name: str = "inventory-inbox") -> dict[str, Any]:
    """The object of that kind and name."""
    (found,) = [each for each in objects if (each["kind"], each["metadata"]["name"]) == (kind, name)]
    return found
