"""The alerts, judged by promtool: each fires when it should, and not otherwise."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.chart.rendering import CHART, Helm, one

TESTS = Path(__file__).with_name("alerts_test.yaml")


@pytest.fixture
def rules(newest_helm: Helm, tmp_path: Path) -> Path:
    """The rules as the chart makes them, in a file of Prometheus' own form."""
    objects = newest_helm.render(CHART / "examples" / "values-monitoring.yaml")
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(one(objects, "PrometheusRule")["spec"]))
    return file


def promtool(programs: dict[str, Path], *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([programs["promtool"], *arguments], capture_output=True, text=True, check=False, timeout=180)


def test_the_rules_are_sound(programs: dict[str, Path], rules: Path) -> None:
    done = promtool(programs, "check", "rules", "--lint=all", "--lint-fatal", str(rules))

    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_when_it_should_and_not_otherwise(programs: dict[str, Path], rules: Path) -> None:
    rules.with_name("alerts_test.yaml").write_text(TESTS.read_text())

    done = promtool(programs, "test", "rules", str(rules.with_name("alerts_test.yaml")))

    assert done.returncode == 0, done.stdout + done.stderr


def test_no_alert_is_without_a_test_that_it_fires_and_one_that_it_does_not(rules: Path) -> None:
    alerts = {rule["alert"] for group in yaml.safe_load(rules.read_text())["groups"] for rule in group["rules"]}
    cases = [case for test in yaml.safe_load(TESTS.read_text())["tests"] for case in test.get("alert_rule_test", [])]

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == alerts


def test_an_alert_can_be_left_out(newest_helm: Helm) -> None:
    objects = newest_helm.render(
        CHART / "examples" / "values-monitoring.yaml", "--set", "prometheusRule.disabled={InboxDown}"
    )

    text = yaml.safe_dump(one(objects, "PrometheusRule"))
    assert "InboxDown" not in text
    assert re.search("alert: InboxHalted", text)
