"""Generate the package of a handler from templates."""

import re
from collections.abc import Mapping
from importlib import resources
from pathlib import Path

from mako.template import Template

from inbox.errors import StartupError
from inbox.settings.json_schema import SCHEMA_FILE, shipped_schema

NAME = re.compile(r"[a-z][a-z0-9]*(?:[-_][a-z0-9]+)*")
"""A name of a handler: its distribution has it with dashes, its module with underscores."""

_FILES: Mapping[str, str] = {
    "pyproject.toml": "pyproject.toml.mako",
    "README.md": "README.md.mako",
    "Dockerfile": "Dockerfile.mako",
    ".dockerignore": "dockerignore.mako",
    "inbox.toml": "inbox.toml.mako",
    "values.yaml": "values.yaml.mako",
    "{module}/__init__.py": "init.py.mako",
    "{module}/handlers.py": "handlers.py.mako",
    "{module}/schema.sql": "schema.sql.mako",
    "{module}/py.typed": "py.typed.mako",
    "tests/test_{module}.py": "test_handler.py.mako",
}


def generate(name: str, directory: Path) -> list[Path]:
    """Write the package of a handler into a new directory, and return its files.

    Raises:
        StartupError: the directory has something in it, or cannot be written.
    """
    if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
        raise StartupError(f"{directory} is there already; choose another --dir, or remove it")
    module = name.replace("-", "_")
    words = {"name": name.replace("_", "-"), "module": module, "kind": _camel(module)}
    texts = {path.format(module=module): _rendered(template, words) for path, template in _FILES.items()}
    written = []
    for path, text in {**texts, SCHEMA_FILE: shipped_schema()}.items():
        file = directory / path
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise StartupError(f"{file} cannot be written: {error.strerror}; choose another --dir") from None
        written.append(file)
    return written


def _rendered(template: str, words: Mapping[str, str]) -> str:
    text = resources.files(__package__ or "").joinpath("templates", template).read_text("utf-8")
    return str(Template(text, strict_undefined=True).render(**words))  # noqa: S702 - neither HTML nor a user's template


def _camel(module: str) -> str:
    return "".join(part.capitalize() for part in module.split("_"))
