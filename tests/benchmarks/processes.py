"""What processes cost, as Linux counts it."""

import os
import subprocess
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_LOOK_SECONDS = 0.02


@dataclass(frozen=True)
class Usage:
    """CPU of some processes and their descendants so far, in seconds, and their memory at its peak."""

    cpu_seconds: float
    peak_megabytes: float


def usage(roots: Iterable[int]) -> Usage:
    """With the CPU of what they waited for; of memory the sum of the peaks of those that live."""
    family = _with_descendants(roots)
    return Usage(sum(map(_cpu_seconds, family)), sum(map(_peak_megabytes, family)))


def usage_until_the_end(process: "subprocess.Popen[bytes]") -> Usage:
    """Waits for it, which has no children. The peak is of shortly before: what `wait4` tells is no less than what the
    caller has."""
    peak = 0.0
    while True:
        peak = max(peak, _peak_megabytes(process.pid))
        pid, status, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return Usage(used.ru_utime + used.ru_stime, peak)
        time.sleep(_LOOK_SECONDS)


def parent_of(pid: int) -> int:
    return int(_stat(pid)[1])


def has_ended(pid: int) -> bool:
    """Return whether the process ended, even if nobody has waited for it."""
    return not (stat := _stat(pid)) or stat[0] == "Z"


def _with_descendants(roots: Iterable[int]) -> set[int]:
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    family, new = set(), list(roots)
    while new:
        pid = new.pop()
        family.add(pid)
        new += children.get(pid, [])
    return family


def _cpu_seconds(pid: int) -> float:
    return sum(map(int, _stat(pid)[11:15])) / _TICKS


def _peak_megabytes(pid: int) -> float:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM:"))


def _stat(pid: int) -> list[str]:
    """The fields behind the command's name, state first; none if the process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return []
