"""Commands in Markdown, with what they should print: read from the page, run in one real shell, compared.

In a fenced block marked ``console``, lines that begin with ``$ `` are commands (a line that ends in a
backslash goes on), the lines after one are its output on a terminal, standard error included. In those
lines ``…`` stands for any text, and a line of nothing else for any number of lines. ``# exit 11`` after a
command is the exit code it must have; 0 where nothing is said. Runs of spaces and of rules count as one.
A command without lines after it may print anything.
"""

from __future__ import annotations

import os
import pty
import re
import select
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ANY = "…"


@dataclass
class Step:
    """One command of a page."""

    line: int
    command: str
    code: int = 0
    expected: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Ran:
    """How a command ended."""

    code: int
    output: str


def steps_of(page: Path) -> list[Step]:
    """Every command of every console block, in the page's order."""
    steps: list[Step] = []
    inside = continued = False
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        if line.startswith("```"):
            inside, continued = line == "```console", False
        elif inside and continued:
            steps[-1].command += "\n" + line
            continued = line.endswith("\\")
        elif inside and line.startswith("$ "):
            code = re.search(r"\s+# exit (\d+)$", line)
            command = line[2 : code.start()] if code else line[2:]
            steps.append(Step(number, command, int(code[1]) if code else 0))
            continued = line.endswith("\\")
        elif inside:
            assert steps, f"{page.name}:{number}: output without a command"
            steps[-1].expected.append(line)
    return steps


def mismatch(expected: list[str], output: str) -> str | None:
    """None if the output is as expected, else the first line that was not found."""
    if not expected:
        return None
    lines = [_squeeze(line) for line in output.splitlines()]
    wanted = farthest = at = 0
    last_any, resume = -1, 0
    while at < len(lines):
        if wanted < len(expected) and expected[wanted].strip() == ANY:
            last_any, resume, wanted = wanted, at, wanted + 1
        elif wanted < len(expected) and _fits(_squeeze(expected[wanted]), lines[at]):
            wanted, at = wanted + 1, at + 1
        elif last_any >= 0:  # let the last `…` take one line more
            wanted, resume = last_any + 1, resume + 1
            at = resume
        else:
            break
        farthest = max(farthest, wanted)
    rest = [line for line in expected[wanted:] if line.strip() != ANY]
    if at == len(lines) and not rest:
        return None
    if farthest < len(expected):
        return f"nothing like: {expected[farthest]}"
    return "there is more after the last line"


def _fits(pattern: str, line: str) -> bool:
    first, *others = pattern.split(ANY)
    if not others:
        return pattern == line
    if not line.startswith(first) or not line.endswith(others[-1]):
        return False
    at = len(first)
    for part in others[:-1]:
        found = line.find(part, at)
        if found < 0:
            return False
        at = found + len(part)
    return at <= len(line) - len(others[-1])


def _squeeze(line: str) -> str:
    return re.sub(r"─+", "─", re.sub(r"\s+", " ", line)).strip()


class Shell:
    """One bash on a terminal of its own: what a person would see, typed line by line."""

    MARK = "\x01"

    def __init__(self, env: Mapping[str, str], folder: Path, columns: int = 120) -> None:
        self._ours, terminal = pty.openpty()
        self._bash = subprocess.Popen(
            ["bash", "--norc", "--noprofile"],
            env={**env, "COLUMNS": str(columns), "TERM": "xterm", "NO_COLOR": "1", "LANG": "C.UTF-8"},
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)

    def run(self, command: str, timeout: float = 60) -> Ran:
        """Run it with nothing to read; return all it showed."""
        assert self._bash.stdin
        line = f"{{ {command}\n}} </dev/null; printf '{self.MARK}%d{self.MARK}' $?\n"
        self._bash.stdin.write(line.encode())
        self._bash.stdin.flush()
        shown = self._until_mark(time.monotonic() + timeout, command)
        text, code, _ = shown.split(self.MARK)
        plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", text).replace("\r\n", "\n")
        return Ran(int(code), plain)

    def _until_mark(self, deadline: float, command: str) -> str:
        shown = b""
        while shown.count(self.MARK.encode()) < 2:
            ready, _, _ = select.select([self._ours], [], [], max(0, deadline - time.monotonic()))
            assert ready, f"no end of {command!r}:\n{shown.decode(errors='replace')}"
            shown += os.read(self._ours, 65536)
        return shown.decode(errors="replace")

    def close(self) -> None:
        self._bash.kill()
        self._bash.wait()
        os.close(self._ours)
