"""Breaks the delivery path in each way of the list, and shows which test catches it."""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from inbox.dev.backends import Servers, servers
from tests.mutants.list import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1
TIMEOUT_SECONDS = 240
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist")


class Copy:
    """A copy of the project that may be broken."""

    def __init__(self, root: Path, running: Servers) -> None:
        self._root = root
        shutil.copytree(ROOT, root, ignore=NOT_COPIED)
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "examples/inventory")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "INBOX_TEST_KAFKA": running.bootstrap_servers,
            "INBOX_TEST_DATABASE": running.database_url,
        }

    def test(self, tests: Iterable[str]) -> int:
        """pytest's exit code."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "90", *tests]
        return subprocess.run(
            command, cwd=self._root, env=self._environment, timeout=TIMEOUT_SECONDS, capture_output=True, check=False
        ).returncode

    def kills(self, mutant: Mutant) -> bool:
        file = self._root / mutant.path
        whole = file.read_text()
        file.write_text(whole.replace(mutant.original, mutant.mutated))
        try:
            return self.test(mutant.killed_by) == TESTS_FAILED
        finally:
            file.write_text(whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="only the mutants whose name contains this")
    chosen = [mutant for mutant in MUTANTS if parser.parse_args().only in mutant.name]
    survivors = []
    with servers(progress=print) as running, tempfile.TemporaryDirectory() as directory:
        copy = Copy(Path(directory) / "project", running)
        if copy.test(dict.fromkeys(test for mutant in chosen for test in mutant.killed_by)) != 0:
            print("the tests fail without any mutant")
            return 1
        for mutant in chosen:
            began = time.monotonic()
            killed = copy.kills(mutant)
            survivors += [] if killed else [mutant.name]
            test = mutant.killed_by[0].rpartition("::")[2]
            print(f"{'killed' if killed else 'SURVIVED':9}{mutant.name}: {test} ({time.monotonic() - began:.0f} s)")
            sys.stdout.flush()
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
