"""examples/compose, as far as it can be checked without Docker."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from inbox.settings.load import load_relay_settings, load_settings

ROOT = Path(__file__).parents[3]
HERE = ROOT / "examples/compose"
COMPOSE: dict[str, Any] = yaml.safe_load((HERE / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def environment(service: str) -> dict[str, str]:
    """Return what Compose sets, where the caller's environment has none of its variables."""
    found = SERVICES[service].get("environment", {})
    return {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in found.items()}


def mounts() -> list[tuple[Path, str]]:
    lines = [line.split(":") for service in SERVICES.values() for line in service.get("volumes", [])]
    return [((HERE / source).resolve(), target) for source, target, _ in lines]


@pytest.mark.parametrize("source", sorted({source for source, _ in mounts()}), ids=lambda path: path.name)
def test_each_mounted_file_is_there(source: Path) -> None:
    assert source.is_file()


def test_each_yaml_file_of_the_example_is_mounted() -> None:
    files = {path.resolve() for path in HERE.rglob("*") if path.suffix in {".yaml", ".toml", ".sql"}}

    assert files - {source for source, _ in mounts()} == {HERE / "compose.yaml"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_waits_for_services_that_exist_and_can_reach_the_state(name: str) -> None:
    waits = SERVICES[name].get("depends_on", {})
    conditions = waits if isinstance(waits, dict) else {other: {"condition": "service_started"} for other in waits}
    for other, wait in conditions.items():
        assert other in SERVICES
        assert wait["condition"] != "service_healthy" or "healthcheck" in SERVICES[other]


@pytest.mark.parametrize("name", SERVICES)
def test_each_image_has_a_version_and_each_port_is_of_this_machine_alone(name: str) -> None:
    assert re.search(r":v?\d", SERVICES[name]["image"])
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


def test_the_configuration_is_a_sink_s_and_a_relay_s() -> None:
    sources = {"config": HERE / "inbox.toml", "flags": {}, "environ": environment("sink"), "cwd": HERE}

    assert load_settings(**sources).sink.name == "orders"
    assert load_relay_settings(**sources) is not None


def test_the_example_is_built_from_the_repository_and_runs_commands_of_inbox() -> None:
    ours = {name: service for name, service in SERVICES.items() if "build" in service}

    assert {name: service["command"] for name, service in ours.items()} == {
        "migrate": ["migrate"],
        "sink": ["run"],
        "relay": ["relay"],
    }
    assert all((HERE / service["build"]["context"] / "Dockerfile").is_file() for service in ours.values())


def test_prometheus_scrapes_the_port_that_the_configuration_opens() -> None:
    jobs = yaml.safe_load((HERE / "prometheus.yaml").read_text())["scrape_configs"]
    [port] = re.findall(r'^listen = "0\.0\.0\.0:(\d+)"$', (HERE / "inbox.toml").read_text(), re.MULTILINE)

    assert [target for job in jobs for each in job["static_configs"] for target in each["targets"]] == [
        f"sink:{port}",
        f"relay:{port}",
    ]


def test_the_dashboard_finds_the_labels_that_it_asks_for() -> None:
    jobs = yaml.safe_load((HERE / "prometheus.yaml").read_text())["scrape_configs"]
    dashboard = json.loads((ROOT / "helm/inbox/dashboards/kafka-inbox.json").read_text())
    asked = {each["name"] for each in dashboard["templating"]["list"] if each["type"] == "query"}

    assert [asked - set(each["labels"]) for job in jobs for each in job["static_configs"]] == [set(), set()]


def test_grafana_reads_the_directory_into_which_the_dashboard_is_mounted() -> None:
    [provider] = yaml.safe_load((HERE / "grafana/dashboards.yaml").read_text())["providers"]
    [target] = [target for source, target in mounts() if source.suffix == ".json"]

    assert Path(target).parent == Path(provider["options"]["path"])
