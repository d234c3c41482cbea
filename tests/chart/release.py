"""Packages the chart with what only its releaser knows, and pushes it: `make chart-release`.

The sources name no address, because the project has none of its own. The released chart does: where the
image for table routes is, the home page, the sources and the documentation.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from tests.chart import tools
from tests.chart.rendering import CHART
from tests.conftest import ROOT

Chart = dict[str, Any]
_ENTRY = re.compile(r"^- (.*(?:\n  .*)*)", re.MULTILINE)
_ABOUT_THE_CHART = re.compile(r"\b(?:chart|Helm|KEDA)\b")
_LINK = re.compile(r"\[([^]]+)\]\([^)]+\)")

_WHAT: Mapping[str, str] = {
    "image": "the repository of the image without handlers, as registry.example.com/kafka-inbox",
    "home_url": "the home page",
    "source_url": "the repository of the sources",
    "docs_url": "where the folder docs/ of this version can be read, for links of the chart's page",
    "icon_url": "an image of the project, square, SVG or PNG",
}


@dataclass(frozen=True)
class Addresses:
    """What a release needs to know of the world; each comes from the variable of that name in upper case."""

    image: str
    home_url: str
    source_url: str
    docs_url: str
    icon_url: str

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Addresses":
        """Take them from variables.

        Raises:
            SystemExit: one is missing, with what it is.
        """
        given = {each.name: environ.get(each.name.upper(), "") for each in fields(cls)}
        if missing := [f"{name.upper()}: {_WHAT[name]}" for name, value in given.items() if not value]:
            raise SystemExit("\n".join(["set these variables:", *missing]))
        return cls(**given)


def changes(changelog: str) -> Iterator[Mapping[str, str]]:
    """Yield the entries about the chart of the newest version, in Artifact Hub's form."""
    newest = re.split(r"^## \[", changelog, flags=re.MULTILINE)[1]
    for part in re.split(r"^#### ", newest, flags=re.MULTILINE)[1:]:
        kind = part.split(maxsplit=1)[0].lower()
        for entry in _ENTRY.findall(part):
            if _ABOUT_THE_CHART.search(entry):
                yield {"kind": kind, "description": _LINK.sub(r"\1", " ".join(entry.split()))}


def completed(chart: Chart, addresses: Addresses, changelog: str) -> Chart:
    """Return what `Chart.yaml` of the released chart says."""
    image = f"{addresses.image}:{chart['appVersion']}"
    annotations = {
        "kafka-inbox/image": addresses.image,
        "artifacthub.io/category": "streaming-messaging",
        "artifacthub.io/license": chart["annotations"]["licenses"],
        "artifacthub.io/images": _text([{"name": "inbox", "image": image}]),
        "artifacthub.io/changes": _text(list(changes(changelog))),
        "artifacthub.io/links": _text([{"name": "documentation", "url": addresses.docs_url}]),
    }
    return {
        **chart,
        "home": addresses.home_url,
        "sources": [addresses.source_url],
        "icon": addresses.icon_url,
        "annotations": {**chart["annotations"], **annotations},
    }


def _text(value: object) -> str:
    return yaml.safe_dump(value, sort_keys=False, width=1000)


def package(helm: Path, addresses: Addresses, into: Path) -> Path:
    """Write the package of the released chart into the directory, and return its path."""
    staged = into / "chart" / CHART.name
    shutil.rmtree(staged, ignore_errors=True)
    shutil.copytree(CHART, staged, ignore=shutil.ignore_patterns("tests/*_test.yaml"))
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    text = _text(completed(chart, addresses, (ROOT / "CHANGELOG.md").read_text()))
    (staged / "Chart.yaml").write_text(text)
    for name in ("README.md", "values.yaml"):
        file = staged / name
        file.write_text(file.read_text().replace("(../../docs/", f"({addresses.docs_url.rstrip('/')}/"))
    _run(helm, "lint", "--strict", str(staged), "-f", str(CHART / "examples" / "values-minimal.yaml"))
    _run(helm, "package", str(staged), "--destination", str(into))
    return into / f"{chart['name']}-{chart['version']}.tgz"


def push(helm: Path, packaged: Path, to: str, *flags: str) -> None:
    """Push the package to an OCI registry; `helm registry login` comes before."""
    _run(helm, "push", str(packaged), to, *flags)


def _run(helm: Path, *arguments: str) -> None:
    done = subprocess.run([helm, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"helm {arguments[0]}: {done.stderr.strip() or done.stdout.strip()}")


def main(environ: Mapping[str, str]) -> None:
    """Package the chart into dist/, and push it where OCI says."""
    if (reason := tools.why_not()) is not None:
        raise SystemExit(reason)
    addresses = Addresses.of(environ)
    helm, into = tools.build()["helm4"], ROOT / "dist"
    into.mkdir(exist_ok=True)
    packaged = package(helm, addresses, into)
    print(packaged)
    if to := environ.get("OCI"):
        push(helm, packaged, to)
        print(f"pushed to {to}")


if __name__ == "__main__":
    main(os.environ)
