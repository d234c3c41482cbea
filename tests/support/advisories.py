"""Ask for known vulnerabilities in the locked packages, and tell a finding from an answer that was not had.

`python -m tests.support.advisories PIP-AUDIT ARGUMENT...` runs pip-audit. Exit codes: 0 none is known, 1 one is, 2 the
advisories could not be had for every package, so that nothing is known of them.
"""

import re
import subprocess
import sys
from collections.abc import Sequence

CLEAN, VULNERABLE, UNKNOWN = 0, 1, 2
BOUND_SECONDS = 300
_UNKNOWN = re.compile(r"not found on PyPI|could not be audited|ConnectionError|ConnectTimeout|Max retries|Traceback")
_FOUND = re.compile(r"^Found \d+ known vulnerabilit", re.MULTILINE)
_UNREACHED = (
    "no advisories were had from https://pypi.org/pypi/NAME/VERSION/json, so nothing is known of these packages; "
    "run this where PyPI itself answers"
)


def verdict(code: int, said: str) -> int:
    """Return the exit code for what pip-audit returned and said."""
    if code == 0:
        return CLEAN
    return VULNERABLE if _FOUND.search(said) and not _UNKNOWN.search(said) else UNKNOWN


def main(command: Sequence[str]) -> int:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=BOUND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        print(_UNREACHED, file=sys.stderr)
        return UNKNOWN
    code = verdict(done.returncode, done.stdout + done.stderr)
    print(done.stdout, end="")
    print(_UNREACHED if code == UNKNOWN else done.stderr, file=sys.stderr, end="\n" if code == UNKNOWN else "")
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
