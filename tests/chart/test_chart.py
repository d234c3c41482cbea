"""The chart under both versions of Helm: what it makes fits Kubernetes, and what cannot work is refused."""

import json
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest

from inbox.settings.load import load_settings
from tests.chart.page import page
from tests.chart.rendering import CHART, EXAMPLES, NEWEST_KUBERNETES, OLDEST_KUBERNETES, Helm, one

MINIMAL = CHART / "examples" / "values-minimal.yaml"
CUSTOM = {"PodMonitor", "PrometheusRule", "ScaledObject", "ExternalSecret"}
"""Kinds of other operators; `make chart-server` holds them to those operators' own definitions."""

each_example = pytest.mark.parametrize("values", EXAMPLES, ids=lambda path: path.stem.removeprefix("values-"))


def test_there_are_eight_examples() -> None:
    assert len(EXAMPLES) >= 8


@each_example
def test_an_example_passes_the_strict_lint(helm: Helm, values: Path) -> None:
    version = ["--kube-version", f"{OLDEST_KUBERNETES}.0"]

    done = helm.run("lint", "--strict", *version, "-f", str(values), str(CHART))

    assert done.returncode == 0, done.stdout + done.stderr


@each_example
@pytest.mark.parametrize("version", [OLDEST_KUBERNETES, NEWEST_KUBERNETES])
def test_what_an_example_makes_fits_kubernetes(newest_helm: Helm, values: Path, version: str) -> None:
    objects = newest_helm.render(values)

    assert {"ConfigMap", "Job", "Pod", "PodDisruptionBudget", "ServiceAccount"} <= {each["kind"] for each in objects}
    for each in objects:
        if each["kind"] not in CUSTOM:
            kubernetes_validate.validate(each, version, strict=True)


@each_example
def test_both_versions_of_helm_make_the_same(programs: dict[str, Path], values: Path) -> None:
    assert Helm(programs["helm3"]).render(values) == Helm(programs["helm4"]).render(values)


@pytest.mark.parametrize("component", ["inventory-inbox", "inventory-inbox-relay"])
def test_pods_wait_for_a_plain_job_that_migrates_and_not_for_a_hook(helm: Helm, component: str) -> None:
    values = CHART / "examples" / "values-outbox.yaml"

    def waiting(mode: str) -> list[dict[str, Any]]:
        objects = helm.render(values, "--set", f"migration.mode={mode},migration.activeDeadlineSeconds=90")
        found: list[dict[str, Any]] = one(objects, "Deployment", component)["spec"]["template"]["spec"].get(
            "initContainers", []
        )
        return found

    [container] = waiting("job")
    assert container["args"] == ["migrate", "--check", "--wait", "90s"]
    assert container["name"] == "wait-for-schema"
    assert container["volumeMounts"]
    assert waiting("hook") == []


@each_example
def test_the_sink_can_read_the_configuration_of_an_example(newest_helm: Helm, values: Path, tmp_path: Path) -> None:
    objects = newest_helm.render(values)
    text = one(objects, "ConfigMap")["data"]["inbox.toml"]
    file = tmp_path / "inbox.toml"
    file.write_text(text)

    environ = {"INBOX_DATABASE__URL": "postgresql://inbox@db/inventory"}
    settings = load_settings(config=file, flags={}, environ=environ, cwd=tmp_path)

    assert settings.sink.name == tomllib.loads(text)["sink"]["name"]
    assert settings.http_listen == ("0.0.0.0", 8080)  # noqa: S104 - what the chart writes
    assert settings.routes


def test_every_kind_of_value_reaches_the_file_as_it_is(newest_helm: Helm) -> None:
    odd = 'a "quoted" \\ text, <&> and ünïcode'
    objects = newest_helm.render(
        MINIMAL,
        "--set-json",
        f'config.kafka={{"bootstrap.servers": "kafka:9092", "client.id": {json.dumps(odd)}, "fetch.min.bytes": 1000000,'
        ' "socket.keepalive.enable": false}',
        "--set-json",
        'config.sink={"name": "a", "retired_routes": ["b", "c"], "batch_events": 100000}',
    )

    found = tomllib.loads(one(objects, "ConfigMap")["data"]["inbox.toml"])

    assert found["kafka"] == {
        "bootstrap.servers": "kafka:9092",
        "client.id": odd,
        "fetch.min.bytes": 1000000,
        "socket.keepalive.enable": False,
    }
    assert found["sink"] == {"name": "a", "retired_routes": ["b", "c"], "batch_events": 100000}
    assert found["routes"][0]["table"]["columns"]["document"] == "$value"


@pytest.mark.parametrize("kind", ["Deployment", "StatefulSet"])
def test_pods_are_replaced_when_their_configuration_changes_and_not_otherwise(newest_helm: Helm, kind: str) -> None:
    def pod_template(*more: str) -> dict[str, Any]:
        objects = newest_helm.render(MINIMAL, "--set", f"workload.kind={kind}", *more)
        return one(objects, kind)["spec"]["template"]

    assert pod_template("--set", "config.sink.batch_events=100") != pod_template()
    assert pod_template("--set", "http.port=9000") != pod_template()
    assert pod_template("--set", "workload.replicas=3,podMonitor.enabled=true") == pod_template()


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    found = []
    for each in objects:
        match each["kind"]:
            case "Deployment" | "StatefulSet" | "Job":
                found.append(each["spec"]["template"]["spec"])
            case "CronJob":
                found.append(each["spec"]["jobTemplate"]["spec"]["template"]["spec"])
            case "Pod":
                found.append(each["spec"])
    return found


@each_example
def test_every_pod_is_restricted_and_has_no_token(newest_helm: Helm, values: Path) -> None:
    specs = pod_specs(newest_helm.render(values))

    assert specs
    for spec in specs:
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"]
        assert {"name": "tmp", "emptyDir": {"sizeLimit": "64Mi"}} in spec["volumes"]
        assert all("sizeLimit" in volume["emptyDir"] for volume in spec["volumes"] if "emptyDir" in volume)


REFUSED = {
    "a key that is not there": (["--set", "replicaCount=3"], "replicaCount"),
    "a key of inbox.toml that is not there": (["--set", "config.sink.batch=3"], "batch"),
    "a section of inbox.toml that is not there": (["--set", "config.postgres.url=x"], "postgres"),
    "[http] by hand": (["--set", "config.http.listen=x"], "http"),
    "a kind of workload that is not there": (["--set", "workload.kind=DaemonSet"], "/workload/kind"),
    "too short a time to end": (["--set", "workload.terminationGracePeriodSeconds=10"], "terminationGracePeriod"),
    "a batch out of range": (["--set", "config.sink.batch_events=0"], "batch_events"),
    "a duration without a unit": (["--set-string", "config.retention.claims=30"], "claims"),
    "a port that needs rights": (["--set", "http.port=80"], "port"),
    "a long name": (["--set", f"fullnameOverride={'n' * 46}"], "fullnameOverride"),
    "root": (["--set", "securityContext.runAsUser=0"], "runAsUser"),
    "no image": (["--set", "image.repository="], "image.repository is not set; build your image"),
    "a handler without an image of its own": (
        ["--set", "image.repository=", "--set-json", 'config.routes=[{"topic": "t", "handler": "h"}]'],
        "image.repository is not set; build your image",
    ),
    "no name": (["--set", "config.sink.name="], "config.sink.name is not set; name the sink"),
    "no brokers": (["--set", r"config.kafka.bootstrap\.servers="], 'config.kafka has no "bootstrap.servers"'),
    "no route": (["--set-json", "config.routes=[]"], "config.routes is empty; add at least one route"),
    "a route without a topic": (
        ["--set-json", 'config.routes=[{"handler": "h"}]'],
        "config.routes[0] needs one of topic and topics",
    ),
    "a route to nowhere": (
        ["--set-json", 'config.routes=[{"topic": "t"}]'],
        "config.routes[0] needs one of handler and table",
    ),
    "no database": (["--set", "secrets.existingSecret="], "there is no database: name a Secret"),
    "a password in the URL": (
        ["--set", "config.database.url=postgresql://inbox:hunter2@db/x"],
        "config.database.url holds a password",
    ),
    "a password in the URL's query": (
        ["--set", "config.database.url=postgresql://inbox@db/x?password=hunter2"],
        "config.database.url holds a password",
    ),
    "a client's secret in the URL's query": (
        ["--set", "config.database.url=postgresql://inbox@db/x?oauth_client_secret=hunter2"],
        "config.database.url holds a password",
    ),
    "a password with a slash in the URL": (
        ["--set", "config.database.url=postgresql://inbox:a/hunter2@db/x"],
        "config.database.url holds a password",
    ),
    "a password in a URL for Kafka": (
        ["--set", r"config.kafka.sasl\.oauthbearer\.token\.endpoint\.url=https://c:hunter2@idp/t"],
        "holds a password, and a ConfigMap must not hold one",
    ),
    "a password for Kafka": (
        ["--set", r"config.kafka.sasl\.password=hunter2"],
        "put it under the key kafka__sasl_password into the Secret",
    ),
    "a key for Kafka": (["--set", r"config.kafka.ssl\.key\.pem=hunter2"], 'config.kafka."ssl.key.pem" is a secret'),
    "a secret variable": (
        ["--set-json", 'extraEnv=[{"name": "INBOX_KAFKA__SASL_PASSWORD", "value": "hunter2"}]'],
        "extraEnv sets INBOX_KAFKA__SASL_PASSWORD by its value",
    ),
    "a secret variable of OpenTelemetry": (
        ["--set-json", 'extraEnv=[{"name": "OTEL_EXPORTER_OTLP_HEADERS", "value": "key=hunter2"}]'],
        "extraEnv sets OTEL_EXPORTER_OTLP_HEADERS by its value",
    ),
    "a secret of OAUTHBEARER": (
        ["--set-json", 'extraEnv=[{"name": "INBOX_KAFKA__SASL_OAUTHBEARER_CONFIG", "value": "hunter2"}]'],
        "extraEnv sets INBOX_KAFKA__SASL_OAUTHBEARER_CONFIG by its value",
    ),
    "a variable with a password in a URL": (
        ["--set-json", 'extraEnv=[{"name": "HTTPS_PROXY", "value": "http://u:hunter2@proxy"}]'],
        "extraEnv sets HTTPS_PROXY to a URL with a password",
    ),
    "an argument with a password in a URL": (
        ["--set-json", 'workload.extraArgs=["-X", "client.id=http://u:hunter2@h"]'],
        "workload.extraArgs holds a URL with a password",
    ),
    "a secret among the arguments": (
        ["--set-json", 'workload.extraArgs=["-X", "sasl.password=hunter2"]'],
        "workload.extraArgs gives sasl.password, and a pod's description must not hold a secret",
    ),
    "a secret in one argument": (
        ["--set-json", 'workload.extraArgs=["-Xssl.key.pem=hunter2"]'],
        "a pod's description must not hold a secret",
    ),
    "two sources of secrets": (
        ["--set-json", 'secrets.externalSecret={"enabled":true,"secretStoreRef":{"name":"v"},"data":{"a__b":{}}}'],
        "secrets.existingSecret and secrets.externalSecret.enabled are both set; keep one",
    ),
    "a hook before its secret": (
        [
            "--set",
            "secrets.existingSecret=",
            "--set-json",
            'secrets.externalSecret={"enabled":true,"secretStoreRef":{"name":"v"},"data":{"database__url":{"key":"k"}}}',
        ],
        "migration.mode is hook, which runs before the ExternalSecret",
    ),
    "an external secret of nothing": (
        ["--set", "secrets.existingSecret=,secrets.externalSecret.enabled=true"],
        "externalSecret",
    ),
    "one identity for all": (
        ["--set", r"config.kafka.group\.instance\.id=one"],
        "would be the same in every pod, and they would end each other",
    ),
    "scaling without a Prometheus": (
        ["--set", "keda.enabled=true,workload.partitions=3"],
        "keda.serverAddress is not set",
    ),
    "scaling without partitions": (
        ["--set", "keda.enabled=true,keda.serverAddress=http://p"],
        "keda.enabled needs workload.partitions",
    ),
    "more replicas than partitions": (
        ["--set", "keda.enabled=true,keda.serverAddress=http://p,workload.partitions=3,keda.maxReplicas=4"],
        "keda.maxReplicas is 4 and workload.partitions 3; more pods than partitions would have nothing to do",
    ),
    "more than the most": (
        ["--set", "keda.enabled=true,keda.serverAddress=http://p,workload.partitions=3,keda.minReplicas=4"],
        "keda.minReplicas is above",
    ),
    "scaling to none by Prometheus": (
        ["--set", "keda.enabled=true,keda.serverAddress=http://p,workload.partitions=3,keda.minReplicas=0"],
        "keda.minReplicas is 0, and without pods Prometheus has no lag to scale by; set keda.trigger to kafka",
    ),
    "no section of the values": (["--set", "image=null"], "missing property 'image'"),
    "no kind": (["--set", "workload.kind=null"], "missing property 'kind'"),
    "no probe": (["--set", "livenessProbe=null"], "missing property 'livenessProbe'"),
    "a relay without an outbox": (["--set", "relay.enabled=true"], "relay.enabled needs config.outbox"),
    "two relays of different kinds": (
        ["--set", "relay.enabled=true,config.outbox.relay=debezium"],
        "would publish everything twice; keep one",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_work_is_refused(helm: Helm, case: str) -> None:
    arguments, sentence = REFUSED[case]

    done = helm.template(MINIMAL, *arguments)

    assert done.returncode != 0, case
    assert sentence in done.stderr
    assert "hunter2" not in done.stderr + done.stdout


def test_keda_asks_kafka_for_the_lag_of_each_topic(newest_helm: Helm) -> None:
    objects = newest_helm.render(CHART / "examples" / "values-scale-to-zero.yaml")

    scaled = one(objects, "ScaledObject")["spec"]

    assert scaled["minReplicaCount"] == 0
    assert {each["type"] for each in scaled["triggers"]} == {"kafka"}
    assert [each["metadata"]["topic"] for each in scaled["triggers"]] == ["orders", "orders.archive"]
    assert scaled["triggers"][0] == {
        "type": "kafka",
        "metadata": {
            "bootstrapServers": "kafka:9093",
            "consumerGroup": "orders-to-reporting",
            "topic": "orders",
            "lagThreshold": "10000",
            "offsetResetPolicy": "earliest",
            "tls": "enable",
            "sasl": "scram_sha512",
        },
        "authenticationRef": {"name": "kafka"},
    }


def test_no_pods_are_no_alert_where_keda_scales_to_zero(newest_helm: Helm) -> None:
    def down(minimum: int) -> str:
        values = CHART / "examples" / "values-scale-to-zero.yaml"
        more = f"prometheusRule.enabled=true,keda.minReplicas={minimum}"
        (group,) = one(newest_helm.render(values, "--set", more), "PrometheusRule")["spec"]["groups"]
        (found,) = [rule["expr"] for rule in group["rules"] if rule["alert"] == "InboxDown"]
        return str(found)

    assert "absent" in down(1)
    assert "absent" not in down(0)


def test_the_templates_pass_their_own_tests(programs: dict[str, Path]) -> None:
    done = subprocess.run(
        [programs["helm-unittest"], "--strict", str(CHART)], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.usefixtures("programs")
def test_the_charts_page_is_what_its_values_say() -> None:
    assert page() == (CHART / "README.md").read_text(), "run `make chart-docs`"
