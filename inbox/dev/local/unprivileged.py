"""Run PostgreSQL for root, which PostgreSQL refuses, as an account with fewer rights."""

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from inbox.dev.local.supervised import SystemUser
from inbox.errors import StartupError

# initdb wants an account with a name, so an invented number would not do
CANDIDATES = ("postgres", "nobody")


def account_for_postgres() -> SystemUser | None:
    """Return an account to run PostgreSQL as, or None if this process may run it itself.

    Raises StartupError for root on a machine without such an account.
    """
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return SystemUser(entry.pw_uid, entry.pw_gid)
    raise StartupError(
        f"PostgreSQL does not run as root, and there is no account named {' or '.join(CANDIDATES)};"
        " add one, start as another user, or name a database in INBOX_TEST_DATABASE"
    )


def hand_over(path: Path, account: SystemUser | None) -> None:
    """Give a file or an empty directory to the account."""
    if account is not None:
        os.chown(path, account.uid, account.gid)


def let_through(directory: Path, account: SystemUser | None) -> None:
    """Let the account pass through our temporary directory, which mkdtemp keeps for its owner."""
    if account is not None:
        directory.chmod(0o711)


def runnable_by(account: SystemUser | None, binaries: Path, spare: Path) -> Path:
    """Return the directory itself if the account may run the programs in it, else a copy below `spare`.

    A virtual environment in root's home is closed to other accounts, and opening that home is not ours to do.
    """
    if account is None or _runs(binaries / "postgres", account):
        return binaries
    installation = binaries.parent
    shutil.copytree(installation, spare / installation.parent.name / installation.name, symlinks=True)
    # the wheel keeps its shared libraries beside the package, and the programs look for them there
    libraries = installation.parent.with_name(installation.parent.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, spare / libraries.name, symlinks=True)
    return spare / installation.parent.name / installation.name / "bin"


def _runs(program: Path, account: SystemUser) -> bool:
    try:
        done = subprocess.run(
            [str(program), "--version"], user=account.uid, group=account.gid, extra_groups=[], capture_output=True,
            timeout=5, check=False, cwd="/",
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
