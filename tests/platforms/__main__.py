"""Run delivery tests against one version of a server; the exit code is pytest's.

python -m tests.platforms kafka 3.9.1
python -m tests.platforms postgres 14.24
"""

import os
import subprocess
import sys

from inbox.dev.local.server import LocalServer
from tests.platforms import DELIVERY, brokers, databases

KILLS = "12"
"""So many SIGKILLs, not the 200 of a whole run."""
WITHIN_SECONDS = 900


def main(kind: str, version: str) -> int:
    server: LocalServer
    name, server = {
        "kafka": lambda: ("INBOX_TEST_KAFKA", brokers.broker(version)),
        "postgres": lambda: ("INBOX_TEST_DATABASE", databases.database(version)),
    }[kind]()
    try:
        server.start()
        print(f"{server.description} for {len(DELIVERY)} files of tests", flush=True)
        environment = {**os.environ, name: server.address, "SOAK_KILLS": os.environ.get("SOAK_KILLS", KILLS)}
        command = [sys.executable, "-m", "pytest", "-q", *DELIVERY]
        return subprocess.run(command, env=environment, timeout=WITHIN_SECONDS, check=False).returncode
    finally:
        server.close()


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
