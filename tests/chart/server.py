"""Every object of the chart's examples goes through a real kube-apiserver: `make chart-server`.

Schema, validation and admission are the server's own; nothing is scheduled. The namespace enforces `restricted`, which
concerns pods alone, so the pod of each workload is offered by itself as well.
"""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from tests.chart import tools
from tests.chart.cluster import MODULE, PACKAGES, Cluster, RefusedError
from tests.chart.rendering import EXAMPLES, Helm
from tests.support.waiting import eventually

OPERATORS = {
    "github.com/prometheus-operator/prometheus-operator@v0.85.0": [
        "example/prometheus-operator-crd/monitoring.coreos.com_podmonitors.yaml",
        "example/prometheus-operator-crd/monitoring.coreos.com_prometheusrules.yaml",
    ],
    "github.com/kedacore/keda/v2@v2.21.0": ["config/crd/bases/keda.sh_scaledobjects.yaml"],
    "github.com/external-secrets/external-secrets@v1.3.2": [
        "config/crds/bases/external-secrets.io_externalsecrets.yaml"
    ],
}
"""Where the definitions of the kinds are that Kubernetes does not have itself."""

NAMESPACE = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {
        "name": "shop",
        "labels": {
            "pod-security.kubernetes.io/enforce": "restricted",
            "pod-security.kubernetes.io/warn": "restricted",
        },
    },
}


def main() -> int:
    """Whether all was taken, as an exit code."""
    reason = tools.why_not(MODULE)
    if reason is not None:
        print(reason)
        return 1
    helm = Helm(tools.build()["helm4"])
    began = time.monotonic()
    with Cluster(tools.build(PACKAGES, MODULE)) as cluster:
        _prepare(cluster)
        taken, refused = _offer_all(cluster, helm)
        refused += _root_is_refused(cluster, helm)
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(taken.items()))
    (version,) = re.findall(r"k8s\.io/kubernetes (v[\d.]+)", (MODULE / "go.mod").read_text())
    print(f"Kubernetes {version}: {taken.total()} objects of {len(EXAMPLES)} examples taken: {kinds}")
    print(f"{len(refused)} refused or warned of, {time.monotonic() - began:.0f} s")
    print("\n".join(refused))
    return 1 if refused else 0


def _prepare(cluster: Cluster) -> None:
    cluster.apply(NAMESPACE, dry_run=False)
    for name in ("default", "inventory-inbox"):
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "shop"}}
        cluster.apply(account, dry_run=False)
    for definition in _definitions():
        cluster.apply(definition, dry_run=False)
        name = definition["metadata"]["name"]
        path = f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}"
        eventually(lambda path=path: _established(cluster.ask("GET", path)), what=f"{name} is established")


def _definitions() -> Iterator[dict[str, Any]]:
    for module, files in OPERATORS.items():
        command = ["go", "mod", "download", "-json", module]
        found = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
        for file in files:
            yield yaml.safe_load((Path(found["Dir"]) / file).read_text())


def _established(definition: dict[str, Any]) -> bool:
    conditions = definition.get("status", {}).get("conditions") or []
    return any(each["type"] == "Established" and each["status"] == "True" for each in conditions)


def _offer_all(cluster: Cluster, helm: Helm) -> tuple[Counter[str], list[str]]:
    taken: Counter[str] = Counter()
    refused = []
    for values in EXAMPLES:
        for each in helm.render(values):
            for offered in (each, *_pods_of(each)):
                problem = _offer(cluster, offered)
                if problem is None:
                    taken[offered["kind"]] += 1
                else:
                    refused.append(f"{values.stem}: {offered['kind']} {offered['metadata']['name']}: {problem}")
    return taken, refused


def _offer(cluster: Cluster, offered: dict[str, Any]) -> str | None:
    """Why it is not taken as it is; a warning counts."""
    cluster.warnings.clear()
    if (offered["kind"], offered["metadata"]["name"]) == ("ServiceAccount", "inventory-inbox"):
        # It is there, for the sake of the pods.
        offered = {**offered, "metadata": {**offered["metadata"], "name": "another"}}
    try:
        cluster.apply(offered, dry_run=True)
    except RefusedError as error:
        return str(error)
    return "; ".join(cluster.warnings) or None


def _pods_of(workload: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The pod that a controller would make."""
    spec = workload.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    if "template" in spec and "containers" in spec["template"].get("spec", {}):
        pod = deepcopy(spec["template"])
        pod["metadata"] |= {"name": f"{workload['metadata']['name']}-0", "namespace": "shop"}
        yield {"apiVersion": "v1", "kind": "Pod", **pod}


def _root_is_refused(cluster: Cluster, helm: Helm) -> list[str]:
    """Whether the server would have told: a pod that may be root, and a misspelt field."""
    (pod,) = [each for each in helm.render(EXAMPLES[0]) if each["kind"] == "Pod"]
    lax = deepcopy(pod)
    del lax["spec"]["securityContext"]["runAsNonRoot"]
    misspelt = {**deepcopy(pod), "specification": {}}
    expected = {"violates PodSecurity": lax, "unknown field": misspelt}
    problems = {sentence: _offer(cluster, bad) for sentence, bad in expected.items()}
    return [f"not refused: {sentence}" for sentence, problem in problems.items() if sentence not in (problem or "")]


if __name__ == "__main__":
    sys.exit(main())
