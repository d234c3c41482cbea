"""A kube-apiserver on etcd, both on the loopback address: Kubernetes without nodes, schedulers or controllers."""

import json
import secrets
import ssl
import subprocess
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

from inbox.dev.local.supervised import Supervised
from inbox.dev.ports import free_port
from tests.chart import tools
from tests.support.waiting import eventually

MODULE = tools.MODULE / "server"
PACKAGES = {"etcd": "go.etcd.io/etcd/server/v3", "kube-apiserver": "k8s.io/kubernetes/cmd/kube-apiserver"}


class RefusedError(Exception):
    """The server's answer to what it does not take."""


class Cluster:
    """Runs while it is entered."""

    def __init__(self, programs: Mapping[str, Path]) -> None:
        self._programs = programs
        self._etcd, self._server = Supervised("etcd"), Supervised("kube-apiserver")
        self._token = secrets.token_urlsafe()
        self._url = ""
        self._context = ssl.create_default_context()
        self._paths: dict[tuple[str, str], tuple[str, bool]] = {}
        self.warnings: list[str] = []

    def __enter__(self) -> "Cluster":
        self._start_server(self._start_etcd())
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()
        self._etcd.close()

    def apply(self, document: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """Creates it, or goes through all that a creation goes through; unknown fields are refused.

        Raises:
            RefusedError: by the schema, by validation, or by admission.
        """
        path, namespaced = self._collection(document["apiVersion"], document["kind"])
        inside = f"/namespaces/{document['metadata']['namespace']}" if namespaced else ""
        group, _, plural = path.rpartition("/")
        query = "?fieldValidation=Strict" + ("&dryRun=All" if dry_run else "")
        return self.ask("POST", f"{group}{inside}/{plural}{query}", document)

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One request; what the server warns of is kept."""
        request = urllib.request.Request(  # noqa: S310 - our own server
            self._url + path,
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, context=self._context, timeout=30) as answer:  # noqa: S310
                self.warnings += answer.headers.get_all("Warning") or []
                text = answer.read()
        except HTTPError as error:
            text = error.read()
            message = json.loads(text)["message"] if text.startswith(b"{") else text.decode().strip()
            raise RefusedError(f"{error.code}: {message}") from error
        return json.loads(text) if text.startswith(b"{") else {}

    def _collection(self, api_version: str, kind: str) -> tuple[str, bool]:
        group = f"/api/{api_version}" if "/" not in api_version else f"/apis/{api_version}"
        if (api_version, kind) not in self._paths:
            for each in self.ask("GET", group)["resources"]:
                if "/" not in each["name"]:
                    self._paths[api_version, each["kind"]] = (f"{group}/{each['name']}", each["namespaced"])
        return self._paths[api_version, kind]

    def _start_etcd(self) -> str:
        clients, peers = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._etcd.start(
            [str(self._programs["etcd"]), "--data-dir", "data", "--listen-client-urls", clients,
             "--advertise-client-urls", clients, "--listen-peer-urls", peers,
             "--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}"]
        )  # fmt: skip
        return clients

    def _start_server(self, etcd: str) -> None:
        directory, port = self._server.directory, free_port()
        key = directory / "accounts.key"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens = directory / "tokens.csv"
        tokens.write_text(f"{self._token},test,test,system:masters\n")
        tokens.chmod(0o600)
        self._server.start(
            [str(self._programs["kube-apiserver"]), "--etcd-servers", etcd, "--cert-dir", "certificates",
             "--bind-address=127.0.0.1", f"--secure-port={port}", "--service-cluster-ip-range=10.0.0.0/24",
             "--service-account-issuer=https://test", f"--service-account-key-file={key}",
             f"--service-account-signing-key-file={key}", f"--token-auth-file={tokens}", "--authorization-mode=RBAC"]
        )  # fmt: skip
        self._url = f"https://127.0.0.1:{port}"
        eventually(self._ready, within=90, what="the kube-apiserver is ready")

    def _ready(self) -> bool:
        certificate = self._server.directory / "certificates" / "apiserver.crt"
        if self._server.exit_code is not None:
            raise AssertionError(f"the kube-apiserver ended: {self._server.log_tail()}")
        if not certificate.exists():
            return False
        try:
            self._context = ssl.create_default_context(cafile=str(certificate))
            self.ask("GET", "/readyz")
        except (RefusedError, URLError, ssl.SSLError):
            return False
        return True
