"""Running a command to measure it: wall time and peak memory of the process and its children."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

KIB_PER_RSS_UNIT = 1 / 1024 if sys.platform == "darwin" else 1


@dataclass(frozen=True, slots=True)
class Ran:
    """One finished command. ``peak_mib`` is the largest single process of its tree (getrusage)."""

    seconds: float
    peak_mib: float
    stdout: str


class CommandFailedError(RuntimeError):
    """A measured command failed, so there is nothing to compare."""


def run(
    command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Ran:
    """Run to the end. Raises CommandFailedError with the last of its stderr: a failed run has no time."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        began = time.perf_counter()
        child = subprocess.Popen(
            [str(part) for part in command],
            env=env,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - began
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if child.returncode != 0:
            told = (err.read() + out.read())[-2000:]
            raise CommandFailedError(
                f"{' '.join(map(str, command))[:300]} exited {child.returncode}:\n{told}"
            )
        return Ran(seconds, usage.ru_maxrss * KIB_PER_RSS_UNIT / 1024, out.read())
