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
import sys
import tempfile
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src"
TABLE = Path(__file__).with_name("mutants.toml")
DOCUMENT = ROOT / "docs" / "reliability.md"
TESTS_FAILED = 1
"""pytest's exit code for: tests ran, and some failed."""
PYTEST = ("-q", "-rfE", "--tb=short", "-p", "no:cacheprovider")
HEAVY = (
    "pytest",
    "hypothesis",
    "sqlalchemy",
    "psycopg",
    "alembic.command",
    "boto3",
    "pydantic_settings",
    "yt_dlp",
)
"""What the tests and the program import besides themselves."""


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
    """What became of one mutant (None: of the program as it is); ``problem`` is empty when it was caught."""

    mutant: Mutant | None
    caught_by: str
    problem: str
    said: str
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
    """Copies of the program, one for each trial that is under way; each trial is a fork of this process.

    Forked, because most of the time of such a short run would go into imports. Nothing of the program is
    imported here: a fork imports it, from its copy.
    """

    def __init__(self, folder: Path, copies: int) -> None:
        self._free = [folder / f"src{number}" for number in range(copies)]
        self._running: dict[int, tuple[Mutant | None, Path, float]] = {}
        for copy in self._free:
            shutil.copytree(SOURCE, copy, ignore=shutil.ignore_patterns("__pycache__"))
        for name in HEAVY:
            importlib.import_module(name)

    @property
    def full(self) -> bool:
        """Whether every copy is in use."""
        return not self._free

    @property
    def busy(self) -> bool:
        """Whether any copy is in use."""
        return bool(self._running)

    def begin(self, mutant: Mutant | None, tests: Sequence[str], *options: str) -> None:
        """Start ``tests`` on a copy with ``mutant`` applied."""
        copy = self._free.pop()
        if mutant is not None:
            _write(copy / mutant.file, mutant.applied(_original(mutant)))
        pid = os.fork()
        if pid == 0:
            _become_pytest(copy, [*options, *tests])
        self._running[pid] = (mutant, copy, time.monotonic())

    def end(self) -> Trial:
        """Wait for one to end, and put its copy right."""
        pid, status = os.wait()
        mutant, copy, began = self._running.pop(pid)
        code, said = os.waitstatus_to_exitcode(status), _log(copy).read_text(errors="replace")
        if mutant is not None:
            _write(copy / mutant.file, _original(mutant))
        self._free.append(copy)
        red = re.search(r"^FAILED (\S+)", said, re.MULTILINE)
        problem = ""
        if code == 0:
            problem = "SURVIVED: no test went red"
        elif code != TESTS_FAILED or red is None:
            problem = f"pytest ended with {code}, and no test failed:\n{said[-3000:]}"
        return Trial(mutant, red[1] if red else "", problem, said, time.monotonic() - began)


def _original(mutant: Mutant) -> str:
    return (SOURCE / mutant.file).read_text(encoding="utf-8")


def _log(copy: Path) -> Path:
    return copy.with_suffix(".log")


def _write(file: Path, text: str) -> None:
    # A cached compilation is told by time (in seconds) and size alone: both may be the same.
    Path(importlib.util.cache_from_source(str(file))).unlink(missing_ok=True)
    file.write_text(text, encoding="utf-8")


def _become_pytest(copy: Path, arguments: list[str]) -> NoReturn:
    log = os.open(_log(copy), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.chdir(ROOT)
    os.environ |= {"PYTHONPATH": str(copy), "COLUMNS": "400"}
    sys.path.insert(0, str(copy))
    code = 99
    try:
        code = importlib.import_module("pytest").main([*PYTEST, *arguments])
        sys.stdout.flush()
    finally:
        os._exit(code)


def run(mutants: Sequence[Mutant], jobs: int) -> int:
    """Try them all and tell of each; 0 if every one was caught."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        bench = Bench(Path(folder), jobs)
        bench.begin(None, list(dict.fromkeys(t for m in mutants for t in m.tests)), "--maxfail=3")
        whole = bench.end()
        if not whole.problem.startswith("SURVIVED"):
            print(f"without any mutant the listed tests are not green:\n{whole.said}")
            return 1
        print(f"all listed tests are green without a mutant ({whole.seconds:.0f} s)", flush=True)
        waiting, escaped = list(reversed(mutants)), 0
        while waiting or bench.busy:
            while waiting and not bench.full:
                bench.begin(waiting[-1], waiting.pop().tests, "--exitfirst")
            trial = bench.end()
            escaped += bool(trial.problem)
            how = trial.problem or f"caught by {trial.caught_by}"
            print(f"{trial.mutant.name if trial.mutant else ''} ({trial.seconds:.0f} s): {how}", flush=True)
    print(f"mutants: {len(mutants)} tried, {len(mutants) - escaped} caught, {escaped} not")
    return 1 if escaped else 0


def main() -> int:
    parser = argparse.ArgumentParser(description="Remove each safety check in turn and see a test go red.")
    parser.add_argument("command", choices=("check", "run"))
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these mutants")
    parser.add_argument("-j", "--jobs", type=int, default=os.cpu_count() or 1, help="how many at once")
    asked = parser.parse_intermixed_args()
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
