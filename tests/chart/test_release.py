"""The chart as its releaser packages and pushes it."""

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from inbox.dev.ports import LOOPBACK, free_port
from tests.chart import tools
from tests.chart.release import Addresses, changes, package, push
from tests.chart.rendering import CHART
from tests.support.waiting import eventually

ADDRESSES = Addresses(
    image="registry.example.com/kafka-inbox",
    home_url="https://inbox.example.com",
    source_url="https://git.example.com/kafka-inbox",
    docs_url="https://inbox.example.com/docs",
    icon_url="https://inbox.example.com/icon.svg",
)
MINIMAL = str(CHART / "examples" / "values-minimal.yaml")


@pytest.fixture(scope="module")
def helm(programs: dict[str, Path]) -> Path:
    return programs["helm4"]


@pytest.fixture(scope="module")
def packaged(helm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return package(helm, ADDRESSES, tmp_path_factory.mktemp("release"))


@pytest.fixture
def registry() -> Iterator[str]:
    """A registry of OCI artifacts on this machine."""
    port = free_port()
    program = tools.build(tools.REGISTRY_PACKAGES, tools.REGISTRY)["registry"]
    process = subprocess.Popen([program, "-port", str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    eventually(lambda: answers(port), what="the registry")
    yield f"oci://127.0.0.1:{port}/charts"
    process.terminate()
    process.wait(60)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


def ask(helm: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([helm, *arguments], capture_output=True, text=True, check=False, timeout=180)


def test_a_table_route_needs_no_image_of_its_own_in_a_released_chart(helm: Path, packaged: Path) -> None:
    done = ask(helm, "template", "x", str(packaged), "-f", MINIMAL, "--set", "image.repository=")
    assert done.returncode == 0, done.stderr
    images = {
        container["image"]
        for each in yaml.safe_load_all(done.stdout)
        if each and each["kind"] in {"Deployment", "Job"}
        for container in each["spec"]["template"]["spec"]["containers"]
    }
    assert images == {"registry.example.com/kafka-inbox:0.1.0"}


def test_a_handler_needs_an_image_of_its_own_in_a_released_chart(helm: Path, packaged: Path) -> None:
    routes = 'config.routes=[{"topic": "t", "handler": "h"}]'
    done = ask(helm, "template", "x", str(packaged), "-f", MINIMAL, "--set", "image.repository=", "--set-json", routes)
    assert done.returncode != 0
    assert "config.routes[0] names a handler, and the chart's own image has none; build your image" in done.stderr


def test_a_released_chart_comes_back_from_its_registry_with_what_artifact_hub_shows(
    helm: Path, packaged: Path, registry: str
) -> None:
    push(helm, packaged, registry, "--plain-http")
    done = ask(helm, "show", "chart", f"{registry}/inbox", "--version", "0.1.0", "--plain-http")
    chart = yaml.safe_load(done.stdout)
    assert (chart["home"], chart["icon"]) == (ADDRESSES.home_url, ADDRESSES.icon_url)
    assert chart["sources"] == [ADDRESSES.source_url]
    assert [each["name"] for each in chart["maintainers"]] == ["the kafka-inbox maintainers"]
    annotations = {name: value for name, value in chart["annotations"].items() if name.startswith("artifacthub.io/")}
    assert yaml.safe_load(annotations["artifacthub.io/images"]) == [
        {"name": "inbox", "image": "registry.example.com/kafka-inbox:0.1.0"}
    ]
    listed = yaml.safe_load(annotations["artifacthub.io/changes"])
    assert {each["kind"] for each in listed} <= {"added", "changed", "deprecated", "removed", "fixed", "security"}
    assert any("Helm chart" in each["description"] for each in listed)


def test_the_page_of_a_released_chart_links_to_the_documentation(helm: Path, packaged: Path) -> None:
    page = ask(helm, "show", "readme", str(packaged)).stdout
    assert "](https://inbox.example.com/docs/how-to/deploy-with-helm.md)" in page
    assert "](../" not in page


def test_changes_are_the_entries_about_the_chart_of_the_newest_version() -> None:
    text = "# C\n## [2]\n### A\n#### Added\n- The chart has\n  [more](x.md).\n- Else.\n#### Fixed\n- KEDA.\n## [1]\n"
    assert list(changes(text)) == [
        {"kind": "added", "description": "The chart has more."},
        {"kind": "fixed", "description": "KEDA."},
    ]


def test_a_release_says_which_addresses_it_needs() -> None:
    with pytest.raises(SystemExit, match="HOME_URL: the home page") as caught:
        Addresses.of({"IMAGE": "x"})
    assert "IMAGE:" not in str(caught.value)
