"""Remove each safety check in turn and see a test go red.

``mutants.toml`` lists the mutants: the exact text of the program that is taken out, what stands in its place,
and the tests that must notice. ``run`` copies the program, applies one mutant at a time to the copy, and runs
those tests on it; every one of them must be green without the mutant and at least one red with it.
``check`` only looks whether every mutant still applies and is in the table of docs/reliability.md.

    tools/mutants.py check
    tools/mutants.py run [-j N] [NAME ...]
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
TABLE = Path(__file__).with_name("mutants.toml")
DOCUMENT = ROOT / "docs" / "reliability.md"
TIMEOUT_S = 900
TESTS_FAILED = 1
"""pytest's exit code for: tests ran, and some failed."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A safety check, the text that makes it, what is put there instead, and who must notice."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def applied(self, text: str) -> str:
        """The mutated text of the file. Raises ValueError unless the old text is there exactly once."""
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: its text is {count} times in {self.file}, not once")
        return text.replace(self.old, self.new)


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of one mutant; ``problem`` is empty when it was caught."""

    mutant: Mutant
    caught_by: str
    problem: str
    seconds: float


def read_table() -> list[Mutant]:
    """The mutants, in the table's order."""
    with TABLE.open("rb") as file:
        rows = tomllib.load(file)["mutant"]
    return [Mutant(r["name"], r["file"], r["old"], r["new"], tuple(r["tests"])) for r in rows]


def complaints(mutants: Sequence[Mutant]) -> list[str]:
    """What is wrong with the table by itself: texts that are not found, names that are not told."""
    found = [f"{m.name}: listed twice" for m in mutants if [o.name for o in mutants].count(m.name) > 1]
    told = DOCUMENT.read_text(encoding="utf-8")
    for mutant in mutants:
        try:
            mutant.applied((SOURCE / mutant.file).read_text(encoding="utf-8"))
        except (ValueError, OSError) as error:
            found.append(str(error))
        if f"| {mutant.name} |" not in told:
            found.append(f"{mutant.name}: not in the table of {DOCUMENT.relative_to(ROOT)}")
    return found


class Bench:
    """Copies of the program in which mutants are tried, one for each that is tried at once."""

    def __init__(self, folder: Path, copies: int) -> None:
        self._free: SimpleQueue[Path] = SimpleQueue()
        for number in range(copies):
            copy = folder / f"src{number}"
            shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
            self._free.put(copy)

    def try_tests(self, tests: Sequence[str]) -> tuple[int, str]:
        """pytest's exit code on an unchanged copy, and what it said."""
        copy = self._free.get()
        try:
            return _pytest(copy, tests, "--maxfail=3")
        finally:
            self._free.put(copy)

    def try_mutant(self, mutant: Mutant) -> Trial:
        began = time.monotonic()
        copy = self._free.get()
        file = copy / mutant.file
        whole = file.read_text(encoding="utf-8")
        try:
            _write(file, mutant.applied(whole))
            code, said = _pytest(copy, mutant.tests, "--exitfirst")
        finally:
            _write(file, whole)
            self._free.put(copy)
        red = re.search(r"^FAILED (\S+)", said, re.MULTILINE)
        problem = ""
        if code == 0:
            problem = f"SURVIVED: {', '.join(mutant.tests)} stayed green"
        elif code != TESTS_FAILED or red is None:
            problem = f"pytest ended with {code}, and no test failed:\n{said[-3000:]}"
        return Trial(mutant, red[1] if red else "", problem, time.monotonic() - began)


def _write(file: Path, text: str) -> None:
    # A cached compilation is told by time (in seconds) and size alone: both may be the same.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")


def _pytest(copy: Path, tests: Sequence[str], *options: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "pytest", "-q", "-rfE", "--tb=short", "-p", "no:cacheprovider", *options]
    environment = {**os.environ, "PYTHONPATH": str(copy), "COLUMNS": "400"}
    try:
        done = subprocess.run(
            [*command, *tests],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return -1, f"no end within {TIMEOUT_S} s"
    return done.returncode, done.stdout + done.stderr


def run(mutants: Sequence[Mutant], jobs: int) -> int:
    """Try them all and print the table; 0 if every one was caught."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder, ThreadPoolExecutor(jobs) as pool:
        bench = Bench(Path(folder), jobs)
        code, said = bench.try_tests(list(dict.fromkeys(t for m in mutants for t in m.tests)))
        if code != 0:
            print(f"without any mutant the listed tests are not green (pytest ended with {code}):\n{said}")
            return 1
        trials = []
        for trial in pool.map(bench.try_mutant, mutants):
            trials.append(trial)
            how = trial.problem or f"caught by {trial.caught_by}"
            print(f"{trial.mutant.name} ({trial.seconds:.0f} s): {how}", flush=True)
    escaped = [trial for trial in trials if trial.problem]
    print(f"mutants: {len(trials)} tried, {len(trials) - len(escaped)} caught, {len(escaped)} not")
    return 1 if escaped else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Remove each safety check in turn and see a test go red.")
    parser.add_argument("command", choices=("check", "run"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    asked = parser.parse_args()
    mutants = read_table()
    unknown = set(asked.names) - {m.name for m in mutants}
    found = [*complaints(mutants), *(f"no mutant is named {name!r}" for name in sorted(unknown))]
    if found:
        print("\n".join(found))
        return 1
    if asked.command == "check":
        print(f"{len(mutants)} mutants apply")
        return 0
    return run([m for m in mutants if not asked.names or m.name in asked.names], asked.jobs)


if __name__ == "__main__":
    sys.exit(main())
