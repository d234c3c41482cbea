"""The image as far as it goes without Docker: the Dockerfile's own steps, and what they install run as in a pod.

Not shown here: the base image itself, and that Docker reads the file as this test does.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import distributions, version
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT
from tests.image.dockerfile import Stage, build, instructions
from tests.support.kafka_topics import create_topic, idempotent_producer
from tests.support.sinks import write_configuration

pytestmark = pytest.mark.long

DOCKERFILE = ROOT / "Dockerfile"
EXAMPLE = ROOT / "examples" / "inventory"

ROUTE = """
[[routes]]
topic = "{topic}"
event_id = "header:event_id"
[routes.table]
name = "public.orders"
mode = "insert"
key = ["order_id"]
[routes.table.columns]
order_id = "/order_id"
"""


@pytest.fixture(scope="module")
def image() -> Iterator[Stage]:
    """What the Dockerfile builds, in a directory that everybody may read (pytest's own are for their owner)."""
    with tempfile.TemporaryDirectory(prefix="inbox-image-") as directory:
        Path(directory).chmod(0o755)
        yield build(DOCKERFILE, ROOT, Path(directory))


@pytest.fixture
def workdir(image: Stage) -> Path:
    """Where the program starts, and looks for its inbox.toml."""
    place = image.place(".")
    place.joinpath("inbox.toml").unlink(missing_ok=True)
    return place


def as_in_a_pod(image: Stage, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
    """Runs the image's program as its user on a read-only root file system, without any right of root's but to read.

    (To read, since the interpreter may be in root's home.) Any other user runs it as himself.
    """
    shell = "exec "
    if os.geteuid() == 0:
        shell = (
            "mount -o remount,bind,ro / && exec setpriv --reuid 10001 --regid 10001 --clear-groups --no-new-privs"
            " --inh-caps -all,+dac_read_search --ambient-caps -all,+dac_read_search "
        )
    program = [] if os.geteuid() else ["unshare", "--mount"]
    path = f"{image.place('/opt/inbox/bin')}:/usr/bin:/bin"
    return subprocess.run(
        [*program, "sh", "-c", f'{shell} "$@"', "sh", "inbox", *arguments],
        cwd=image.place("."),
        env={**image.environment, "PATH": path},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )


def test_the_image_runs_its_own_package_and_has_no_compiler_nor_pip(image: Stage) -> None:
    ran = as_in_a_pod(image, ["--version"])

    assert (ran.returncode, ran.stdout.strip()) == (0, f"inbox, version {version('kafka-inbox')}"), ran.stderr
    installed = {path.name for path in image.place("/opt/inbox").glob("lib/python3.*/site-packages/*")}
    assert {"inbox", "confluent_kafka", "psycopg_binary"} <= installed
    assert not {"pip", "hatchling", "pytest", "hypothesis", "testcontainers"} & installed
    assert image.user == "10001"
    assert image.entrypoint == '["inbox"]'


def test_the_image_migrates_and_runs_as_nobody_special_on_a_read_only_root(
    image: Stage, workdir: Path, empty_database_url: str, bootstrap_servers: str
) -> None:
    topic = create_topic(bootstrap_servers)
    producer = idempotent_producer(bootstrap_servers)
    producer.produce(topic, b'{"order_id": 7}', headers={"event_id": str(uuid4()).encode()})
    assert producer.flush(120) == 0
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("CREATE TABLE orders (order_id bigint PRIMARY KEY)")
    write_configuration(
        workdir / "inbox.toml",
        database_url=empty_database_url,
        bootstrap_servers=bootstrap_servers,
        routes=ROUTE.format(topic=topic),
        name=topic,
    )

    for arguments in (["migrate"], ["check"], ["run", "--until-end"]):
        ran = as_in_a_pod(image, arguments)
        assert ran.returncode == 0, f"{arguments}: {ran.stdout}{ran.stderr}"

    with psycopg.connect(empty_database_url) as connection:
        assert connection.execute("SELECT order_id FROM orders").fetchall() == [(7,)]
    assert [path.name for path in workdir.iterdir()] == ["inbox.toml"]


@pytest.fixture
def user_image(image: Stage) -> Iterator[Stage]:
    """The image, without the user's package again at the end."""
    yield image
    interpreter = image.place("/opt/inbox/bin/python")
    remove = ["-m", "pip", "--python", str(interpreter), "uninstall", "--yes", "inbox-example-inventory"]
    subprocess.run([sys.executable, *remove], check=True, capture_output=True, timeout=180)


def test_an_image_of_a_user_adds_his_handlers(user_image: Stage, tmp_path: Path) -> None:
    image = user_image
    copy, wheel, copy_wheel, install = [
        rest for name, rest in instructions((EXAMPLE / "Dockerfile").read_text()) if name in {"COPY", "RUN"}
    ]
    assert copy == ". /src/handlers"
    assert copy_wheel == "--from=build /src/wheels /src/wheels"
    shutil.copytree(EXAMPLE, tmp_path / "handlers", ignore=shutil.ignore_patterns("__pycache__"))
    interpreter = image.place("/opt/inbox/bin/python")
    for step in (wheel, install):
        here = step.replace("/opt/inbox/bin/python", str(interpreter)).replace("/src/", f"{tmp_path}/")
        done = subprocess.run(  # noqa: S602 - what Docker does with our own Dockerfile
            f"{sys.executable} -m {here}", shell=True, capture_output=True, text=True, timeout=180, check=False
        )
        assert done.returncode == 0, done.stderr
    found = subprocess.run(
        [interpreter, "-c", "from inbox.handlers import load_handler; print(load_handler('reserve_stock').name)"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.stdout == "reserve_stock\n", found.stderr


def pinned(lock: str) -> set[str]:
    return set(re.findall(r"^(\S+==\S+)", (ROOT / lock).read_text(), re.MULTILINE))


@pytest.mark.parametrize("lock", ["requirements.run.lock", "requirements.build.lock"])
def test_what_the_image_installs_is_what_the_tests_ran_on(lock: str) -> None:
    assert pinned(lock)
    assert pinned(lock) <= pinned("requirements.lock"), "run `make lock`"


def test_the_image_holds_what_its_sbom_names_and_nothing_else(image: Stage) -> None:
    """`make sbom` and `make audit-dependencies` go by the lock, so the environment must be what the lock says."""
    lines = re.findall(r"^(\S+==[^\\\n]+)", (ROOT / "requirements.run.lock").read_text(), re.MULTILINE)
    locked = [each for each in map(Requirement, lines) if each.marker is None or each.marker.evaluate()]
    [packages] = image.place("/opt/inbox").glob("lib/python3.*/site-packages")
    installed = {canonicalize_name(each.name): each.version for each in distributions(path=[str(packages)])}

    assert installed.pop("kafka-inbox") == version("kafka-inbox")
    assert installed == {canonicalize_name(each.name): str(each.specifier).removeprefix("==") for each in locked}
    recipes = (ROOT / "Makefile").read_text()
    for target in ("sbom", "audit-dependencies"):
        assert re.search(rf"^{target}:.*\n(?:\t.*\n)*\t.*requirements\.run\.lock$", recipes, re.MULTILINE)


def test_the_context_holds_just_what_the_dockerfile_copies() -> None:
    rules = (ROOT / ".dockerignore").read_text().split("\n")
    allowed = {rule[1:] for rule in rules if rule.startswith("!")}
    copied = {
        source
        for name, rest in instructions(DOCKERFILE.read_text())
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    }

    assert "*" in rules
    assert copied == allowed


def test_each_base_is_pinned_to_a_version_of_a_slim_glibc_image() -> None:
    bases = [rest.split()[0] for name, rest in instructions(DOCKERFILE.read_text()) if name == "FROM"]
    (default,) = re.findall(r"^ARG PYTHON_IMAGE=(\S+)", DOCKERFILE.read_text(), re.MULTILINE)

    assert set(bases) == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-[a-z]+", default)
