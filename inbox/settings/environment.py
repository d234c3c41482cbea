"""The names that settings have outside the file: environment variables and secret files."""

import re
from collections.abc import Mapping

from inbox.kafka.registry.options import KNOWN as REGISTRY_PROPERTIES
from inbox.settings.document import FILE_ONLY, scalar_paths
from inbox.settings.librdkafka import KNOWN, spelt_in_variables

CONFIG = "INBOX_CONFIG"
SECRETS_DIR = "INBOX_SECRETS_DIR"

_FILE_NAMES = {f"{section}__{key}": (section, key) for section, key in scalar_paths()} | {
    f"{section}__{spelt_in_variables(name)}": (section, name)
    for section, names in (("kafka", KNOWN), ("registry", REGISTRY_PROPERTIES))
    for name in sorted(names)
}

SECRET_FILES: Mapping[str, tuple[str, str]] = _FILE_NAMES
"""The setting of each secret file by its name: `kafka__sasl_password` -> `("kafka", "sasl.password")`."""

ENVIRONMENT: Mapping[str, tuple[str, str]] = {f"INBOX_{name.upper()}": path for name, path in _FILE_NAMES.items()}
"""The setting of each variable by its name."""

_KUBERNETES_NAME = re.compile(r"INBOX(?:_[A-Z0-9]+)*?_(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9]+)*|PORT(?:_[A-Z0-9]+)*)")
_KUBERNETES_VALUE = re.compile(r"(?:(?:tcp|udp|sctp)://)?[0-9a-fA-F.:\[\]]*|tcp|udp|sctp")


def is_foreign(name: str, value: str) -> bool:
    """Return whether the variable belongs to the test suite or is a link to a service of Kubernetes.

    Kubernetes gives every pod variables for each service of its namespace. For a service named
    `inbox` or `inbox-metrics` they begin as the configuration's do
    (`INBOX_PORT=tcp://10.0.0.7:8080`).
    """
    if not name.startswith("INBOX_") or name.startswith("INBOX_TEST_"):
        return True
    return bool(_KUBERNETES_NAME.fullmatch(name) and _KUBERNETES_VALUE.fullmatch(value))


def is_file_only(name: str) -> bool:
    """Return whether the variable or secret file is for a setting that only the file can hold."""
    section, _, key = name.removeprefix("INBOX_").lower().partition("__")
    return section == "routes" or (section, key) in FILE_ONLY


def ways_to_set(path: tuple[str, str], file: str) -> str:
    """Return a text that names the places for a missing setting."""
    name = next(name for name, known in _FILE_NAMES.items() if known == path)
    return f"set it in {file}, as environment variable INBOX_{name.upper()} or in the secret file {name}"
