"""The steps of a Dockerfile carried out without Docker, in a directory instead of an image.

Enough of the format for our own: `COPY` of what is in the context or in an earlier stage, and `RUN` in shell form.
`FROM` changes nothing (the base is this machine), and an instruction that is not known is an error, not passed over.
"""

import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_NO_STEPS = {"ARG", "LABEL", "EXPOSE"}


@dataclass
class Stage:
    """What a stage came to."""

    root: Path
    workdir: str = "/"
    environment: dict[str, str] = field(default_factory=dict)
    user: str = "0"
    entrypoint: str = ""

    def place(self, path: str) -> Path:
        """Where a path of the image is on this machine."""
        return self.root / self.absolute(path).lstrip("/")

    def absolute(self, path: str) -> str:
        return os.path.normpath(path if path.startswith("/") else f"{self.workdir}/{path}")


def instructions(text: str) -> list[tuple[str, str]]:
    """Each instruction with its arguments, comments left out and continued lines joined."""
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in joined.splitlines())]


def build(dockerfile: Path, context: Path, root: Path) -> Stage:
    """Carries out every stage in one tree, `root`: the stages of ours have no path in common but what they copy."""
    stage = Stage(root)
    for name, rest in instructions(dockerfile.read_text()):
        match name:
            case "FROM":
                stage = Stage(root)
            case "WORKDIR":
                stage.workdir = stage.absolute(rest)
                stage.place(".").mkdir(parents=True, exist_ok=True)
            case "ENV":
                stage.environment |= dict(word.split("=", 1) for word in shlex.split(rest))
            case "COPY":
                _copy(stage, context, shlex.split(rest))
            case "RUN":
                _run(stage, rest)
            case "USER":
                stage.user = rest.partition(":")[0]
            case "ENTRYPOINT":
                stage.entrypoint = rest
            case _ if name not in _NO_STEPS:
                raise ValueError(f"unknown instruction {name}")
    return stage


def _copy(stage: Stage, context: Path, words: list[str]) -> None:
    if words[0].startswith("--from="):
        source, target = words[1:]
        assert stage.place(source) == stage.place(target), "the stages share one tree here"
        return
    *sources, target = words
    for source in sources:
        found = context / source
        if found.is_dir():
            shutil.copytree(found, stage.place(target), ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(found, stage.place(target))


def _run(stage: Stage, command: str) -> None:
    # absolute paths of the image become paths below the root; the `python` of the base is the one that runs this
    moved = re.sub(r"(?<=\s)(/(?:opt|src)\b)", rf"{stage.root}\1", f" {command}")
    moved = re.sub(r"^ python ", f"{Path(sys.executable).resolve()} ", moved)
    done = subprocess.run(  # noqa: S602 - what Docker does with our own Dockerfile
        moved,
        shell=True,
        cwd=stage.place("."),
        env={**os.environ, **stage.environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
