"""The programs that judge the chart, built from the Go modules of helm/tools once, in the user's cache directory."""

import hashlib
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from inbox.dev.local.kafka_jars import cache_directory
from tests.conftest import ROOT

MODULE = ROOT / "helm" / "tools"
COLLECTOR = ROOT / "tests" / "collector"
COLLECTOR_PACKAGES = {"collector": "."}
REGISTRY = ROOT / "tests" / "registry"
REGISTRY_PACKAGES = {"registry": "github.com/google/go-containerregistry/cmd/registry"}

# Service discovery of Prometheus is a third of promtool's build, and checks no rule.
_FLAGS = ["-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-tags=remove_all_sd"]
_PACKAGES = {
    "helm3": "helm.sh/helm/v3/cmd/helm",
    "helm4": "helm.sh/helm/v4/cmd/helm",
    "helm-unittest": "github.com/helm-unittest/helm-unittest/cmd/helm-unittest",
    "helm-docs": "github.com/norwoodj/helm-docs/cmd/helm-docs",
    "promtool": "github.com/prometheus/prometheus/cmd/promtool",
}


def why_not(module: Path = MODULE) -> str | None:
    """Why nothing can be built here; None when it can."""
    if shutil.which("go") is None:
        return "there is no Go on this machine, so the chart is not checked"
    done = _go(["env", "GOVERSION"], module)
    return None if done.returncode == 0 else f"this Go cannot build the chart's tools: {done.stderr.strip()}"


def build(
    packages: Mapping[str, str] = _PACKAGES, module: Path = MODULE, say: Callable[[str], None] = print
) -> dict[str, Path]:
    """Where each program is, after those that are not there yet were built."""
    place = _place(module)
    place.mkdir(parents=True, exist_ok=True)
    programs = {name: place / name for name in packages}
    for name, program in programs.items():
        if program.exists():
            continue
        began = time.monotonic()
        unfinished = program.with_suffix(f".{os.getpid()}")
        done = _go(["build", *_FLAGS, "-o", str(unfinished), packages[name]], module)
        assert done.returncode == 0, f"building {name}: {done.stderr}"
        unfinished.rename(program)
        say(f"built {name} in {time.monotonic() - began:.0f} s, kept in {place}")
    return programs


def is_built(packages: Mapping[str, str], module: Path) -> bool:
    """Whether every program is there already."""
    return all((_place(module) / name).exists() for name in packages)


def _place(module: Path) -> Path:
    return cache_directory() / f"chart-tools-{_digest(module)}"


def _digest(module: Path) -> str:
    """Changes with every version of a module, of Go and of what the build is told."""
    sources = [module / "go.mod", module / "go.sum", *sorted(module.glob("*.go"))]
    parts = [*(file.read_text() for file in sources), *_FLAGS]
    parts.append(_go(["env", "GOVERSION"], module).stdout)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]


def _go(arguments: list[str], module: Path) -> "subprocess.CompletedProcess[str]":
    environment = {**os.environ, "CGO_ENABLED": "0"}
    return subprocess.run(["go", *arguments], cwd=module, env=environment, capture_output=True, text=True, check=False)


if __name__ == "__main__":
    if (reason := why_not()) is not None:
        print(reason)
    else:
        built = build() | build(REGISTRY_PACKAGES, REGISTRY)
        print(f"the chart's tools are there: {', '.join(built)}")
