"""What the chart says of the program is true: its metrics, its settings, its runbooks. Needs neither Go nor Helm."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from inbox.kafka.secret_names import is_secret
from inbox.settings.document import ColumnSection, Document, keys_at
from inbox.settings.librdkafka import KNOWN
from inbox.telemetry import REGISTRY

ROOT = Path(__file__).parents[2]
CHART = ROOT / "helm" / "inbox"
RUNBOOKS = ROOT / "docs" / "runbooks"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
RULES = (CHART / "templates" / "prometheusrule.yaml").read_text()
DASHBOARD = json.loads((CHART / "dashboards" / "kafka-inbox.json").read_text())
FROM_OTHERS = {
    "kube_cronjob_created",
    "kube_cronjob_status_last_schedule_time",
    "kube_cronjob_status_last_successful_time",
    "kube_pod_container_status_last_terminated_exitcode",
    "kube_pod_container_status_restarts_total",
    "up",
}
WRITTEN_BY_THE_CHART = {"http"}


def series_of_the_program() -> dict[str, set[str]]:
    """The names that a scrape has, with the labels of each."""
    suffixes = {"counter": ["_total"], "gauge": [""], "histogram": ["_bucket", "_sum", "_count"]}
    found = {}
    for collector in list(REGISTRY._names_to_collectors.values()):
        for metric in collector.describe():
            for suffix in suffixes[metric.type]:
                found[metric.name + suffix] = set(collector._labelnames)
    return found


def queries_of_the_dashboard() -> list[str]:
    variables = [each["definition"] for each in DASHBOARD["templating"]["list"] if each["type"] == "query"]
    return variables + [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def alerts() -> set[str]:
    return set(re.findall(r"^- alert: (\w+)$", RULES, re.MULTILINE))


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\b(?:inbox|kube)_[a-z_]+\b", text)) | set(re.findall(r"\bup(?=\{)", text))


def test_the_alerts_ask_for_metrics_that_exist() -> None:
    asked = metrics_in(RULES)

    assert len(asked) > len(FROM_OTHERS)
    assert asked - set(series_of_the_program()) - FROM_OTHERS == set()


def test_the_dashboard_asks_for_metrics_that_exist() -> None:
    asked = metrics_in("\n".join(queries_of_the_dashboard()))

    assert asked - set(series_of_the_program()) - FROM_OTHERS == set(), "no such metric"


def test_the_dashboard_shows_every_metric() -> None:
    shown = metrics_in("\n".join(queries_of_the_dashboard()))
    families = {re.sub("_(bucket|sum|count)$", "", name) for name in series_of_the_program()}

    missing = families - {re.sub("_(bucket|sum|count)$", "", name) for name in shown}
    assert missing == set(), "give it a panel in helm/inbox/dashboards/kafka-inbox.json"


def test_what_they_group_by_are_labels_of_those_metrics() -> None:
    series = series_of_the_program()
    added = {"namespace", "sink", "component", "pod", "le"}
    grouped = re.compile(r"by \(([^)]*)\) \((?:\w+\()*(?:max by \([^)]*\) \()?(inbox_\w+)")
    found = [pair for query in [*queries_of_the_dashboard(), RULES] for pair in grouped.findall(query)]

    assert len(found) > 10
    for labels, name in found:
        assert set(labels.split(", ")) <= series[name] | added, (labels, name)


def test_every_alert_has_its_runbook_and_every_runbook_its_alert() -> None:
    pages = {path.stem for path in RUNBOOKS.glob("*.md")} - {"README"}

    assert alerts() == pages
    index = (RUNBOOKS / "README.md").read_text()
    assert {name for name in pages if f"({name}.md)" not in index} == set()
    for page in pages:
        text = (RUNBOOKS / f"{page}.md").read_text()
        assert text.startswith(f"# {page}\n")
        assert {"## What it means", "## What to look at", "## What to do"} <= set(text.splitlines())


def test_links_of_the_runbooks_lead_somewhere() -> None:
    for page in [*RUNBOOKS.glob("*.md"), ROOT / "docs/how-to/deploy-with-helm.md", ROOT / "helm/README.md"]:
        links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text())
        assert [link for link in links if not (page.parent / link).exists()] == [], page


def test_the_values_know_every_setting_of_the_program() -> None:
    config = SCHEMA["properties"]["config"]["properties"]

    assert set(config) == set(keys_at(())) - WRITTEN_BY_THE_CHART, "write it into helm/inbox/values.schema.json"
    for section in set(config) - {"kafka", "registry", "routes"}:
        assert set(config[section]["properties"]) == set(keys_at((section,))), f"write it into the schema: {section}"
    route = config["routes"]["items"]["properties"]
    assert set(route) == set(keys_at(("routes", 0)))
    assert set(route["table"]["properties"]) == set(keys_at(("routes", 0, "table")))
    column = route["table"]["properties"]["columns"]["additionalProperties"]["anyOf"][1]["properties"]
    assert set(column) == {field.alias or name for name, field in ColumnSection.model_fields.items()}
    assert Document.model_fields["kafka"].annotation is not None


def values_and_schema(values: Any, schema: dict[str, Any], path: str = "") -> list[str]:
    """Where the default values and the schema do not have the same keys."""
    if schema.get("type") != "object" or "properties" not in schema:
        return []
    differing = set(values) ^ (set(schema["properties"]) - {"global"})
    found = [f"{path}{key}" for key in differing]
    for key in set(values) & set(schema["properties"]):
        found += values_and_schema(values[key], schema["properties"][key], f"{path}{key}.")
    return found


def test_every_value_has_a_default_and_a_type() -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    differing = values_and_schema(values, SCHEMA)

    # what has no sensible default of one shape: the program's own settings, and references to other objects
    free = ("config.", "secrets.externalSecret.secretStoreRef.", "keda.authenticationRef.")
    assert [path for path in differing if not path.startswith(free)] == []


def test_what_templates_need_cannot_be_taken_away() -> None:
    """`--set image=null` takes a section away: the schema names it, before a template fails by a nil pointer."""
    chosen_by_the_platform = {"runAsUser", "fsGroup"}

    def missing(values: dict[str, Any], schema: dict[str, Any], path: str = "") -> Iterator[str]:
        for key, value in values.items():
            needed = bool(value) and not isinstance(value, list) and key not in {*RENDERED_WHOLE, "labels"}
            if needed and key not in {*schema.get("required", ()), *chosen_by_the_platform}:
                yield path + key
            if isinstance(value, dict) and value and key not in RENDERED_WHOLE:
                yield from missing(value, schema["properties"][key], f"{path}{key}.")

    assert list(missing(yaml.safe_load((CHART / "values.yaml").read_text()), SCHEMA)) == []


def test_the_schema_refuses_unknown_keys_everywhere() -> None:
    def closed(schema: dict[str, Any]) -> bool:
        if "properties" not in schema:
            return True
        return schema["additionalProperties"] is False and all(map(closed, schema["properties"].values()))

    assert closed(SCHEMA)
    assert closed(SCHEMA["properties"]["config"]["properties"]["routes"]["items"])


def test_every_value_says_what_it_does() -> None:
    rows = re.findall(r"^\| `([^`]+)` \| .* \| ([^|]*) \|$", (CHART / "README.md").read_text(), re.MULTILINE)

    assert len(rows) > 90
    assert [key for key, what in rows if not what.strip()] == []


RENDERED_WHOLE = {"resources", "livenessProbe", "readinessProbe", "labels"}


def paths(values: Any, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Down to what a template reads."""
    if not isinstance(values, dict) or not values or (path and path[-1] in RENDERED_WHOLE):
        return [path]
    return [found for key, value in values.items() for found in paths(value, (*path, key))]


def test_every_value_is_read_by_a_template() -> None:
    templates = "\n".join(path.read_text() for path in (CHART / "templates").rglob("*.*"))
    values = paths(yaml.safe_load((CHART / "values.yaml").read_text()))

    assert [path for path in values if not re.search(rf"\.{path[-1]}\b", templates)] == []


def test_the_chart_knows_every_secret_of_kafka() -> None:
    (pattern,) = re.findall(
        r'regexMatch "\(\?i\)([^"]*jaas[^"]*)" \$name', (CHART / "templates/_refusals.tpl").read_text()
    )
    refused = {name for name in KNOWN if re.search(pattern.replace(r"\\", "\\"), name, re.IGNORECASE)}

    assert refused - {"sasl.oauthbearer.token.endpoint.url"} == {name for name in KNOWN if is_secret(name)}
