"""Trials of every platform that the compatibility page names: `make platforms`, or one of `nox --list`."""

import sys
from pathlib import Path

import nox

# nox runs this file from its own environment
sys.path.insert(0, str(Path(__file__).parent))

from tests.platforms import DELIVERY, KAFKAS, POSTGRESES

nox.options.reuse_existing_virtualenvs = True
nox.options.stop_on_first_error = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
EXAMPLES = ("examples/inventory", "examples/orders")
UNDER_TRIAL = "3.11"
"""The Python with which the servers are tried."""


def install(session: nox.Session) -> None:
    """Install what the lock names, then this checkout; the upper bound of Python is what is tried here."""
    session.install("--require-hashes", "-r", "requirements.lock")
    editable = [part for each in (".", *EXAMPLES) for part in ("-e", each)]
    session.install("--no-deps", "--no-build-isolation", "--ignore-requires-python", *editable)


@nox.session(python=PYTHONS)
def python(session: nox.Session) -> None:
    """Run the unit suite and the delivery tests with one version of Python."""
    install(session)
    session.run("pytest", "-q", "-n", "2", "tests/unit")
    session.run("pytest", "-q", *DELIVERY, env={"SOAK_KILLS": "12"})


@nox.session(python=UNDER_TRIAL)
@nox.parametrize("version", KAFKAS, ids=KAFKAS)
def kafka(session: nox.Session, version: str) -> None:
    """Run the delivery tests on one version of Apache Kafka."""
    install(session)
    session.run("python", "-m", "tests.platforms", "kafka", version)


@nox.session(python=UNDER_TRIAL)
@nox.parametrize("version", POSTGRESES, ids=POSTGRESES)
def postgres(session: nox.Session, version: str) -> None:
    """Run the delivery tests on one version of PostgreSQL."""
    install(session)
    session.run("python", "-m", "tests.platforms", "postgres", version)


@nox.session(python="3.11")
def sdist(session: nox.Session) -> None:
    """Unpack the source distribution and run its own unit suite there."""
    session.install("--require-hashes", "-r", "requirements.lock")
    [archive] = Path("dist").glob("kafka_inbox-*.tar.gz")
    unpacked = Path(session.create_tmp()) / archive.name.removesuffix(".tar.gz")
    session.run("python", "-m", "tarfile", "-e", str(archive.resolve()), str(unpacked.parent))
    session.chdir(unpacked)
    editable = [part for each in (".", *EXAMPLES) for part in ("-e", each)]
    session.install("--no-deps", "--no-build-isolation", *editable)
    session.run("pytest", "-q", "-n", "2", "tests/unit")
