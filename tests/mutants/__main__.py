"""Breaks the delivery path in each way of the list, and shows which test catches it."""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from inbox.dev.backends import Servers, servers
from tests.mutants.list import MUTANTS, Mutant

ROOT = Path(__file__).parents[2]
TESTS_FAILED = 1
TIMEOUT_SECONDS = 600
LAST_CHARACTERS = 4000
KILLED, SURVIVED, HUNG = "killed", "SURVIVED", "HUNG"
NOT_COPIED = shutil.ignore_patterns(".git", ".venv", ".*_cache", "__pycache__", "build", "dist")


class Copy:
    """A copy of the project that may be broken; `output` has what the last tests printed."""

    def __init__(self, root: Path, running: Servers) -> None:
        self._root = root
        self.output = root.with_name("output")
        shutil.copytree(ROOT, root, ignore=NOT_COPIED)
        self._environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(root), str(root / "examples/inventory")]),
            "PYTHONDONTWRITEBYTECODE": "1",
            "INBOX_TEST_KAFKA": running.bootstrap_servers,
            "INBOX_TEST_DATABASE": running.database_url,
        }

    def test(self, tests: Iterable[str], *, within: float = TIMEOUT_SECONDS) -> int | None:
        """Return pytest's exit code, or None if it had to be ended with all that it started."""
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "--timeout", "90", *tests]
        with self.output.open("wb") as output:
            process = subprocess.Popen(
                command,
                cwd=self._root,
                env=self._environment,
                start_new_session=True,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            return process.wait(within)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def result(self, mutant: Mutant) -> str:
        """Return whether a test failed for the mutant, none did, or the tests did not end."""
        file = self._root / mutant.path
        whole = file.read_text()
        file.write_text(whole.replace(mutant.original, mutant.mutated))
        try:
            code = self.test(mutant.killed_by)
            return HUNG if code is None else KILLED if code == TESTS_FAILED else SURVIVED
        finally:
            file.write_text(whole)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=[""], nargs="+", help="only the mutants whose name contains one of these")
    given = parser.parse_args()
    chosen = [mutant for mutant in MUTANTS if any(part in mutant.name for part in given.only)]
    survivors = []
    with servers(progress=print) as running, tempfile.TemporaryDirectory() as directory:
        copy = Copy(Path(directory) / "project", running)
        tests = dict.fromkeys(test for mutant in chosen for test in mutant.killed_by)
        if copy.test(tests, within=TIMEOUT_SECONDS * len(tests)) != 0:
            print(f"{copy.output.read_text()[-LAST_CHARACTERS:]}\nthe tests fail without any mutant")
            return 1
        for mutant in chosen:
            began = time.monotonic()
            result = copy.result(mutant)
            survivors += [] if result is KILLED else [mutant.name]
            test = mutant.killed_by[0].rpartition("::")[2]
            print(f"{result:9}{mutant.name}: {test} ({time.monotonic() - began:.0f} s)")
            sys.stdout.flush()
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutants killed")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
