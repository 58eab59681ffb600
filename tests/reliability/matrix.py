"""The crash matrix of one scenario: find every durable step, die at each, run again, look.

Played in a process of its own (:mod:`tests.reliability.company`), because it forks: it has no thread, and
hangs up before it forks a cell.
"""

from __future__ import annotations

import contextlib
import functools
import gc
import hashlib
import importlib
import json
import os
import random
import re
import sys
import time
import traceback
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reliability.actors import Actor, Ended, aside, die_with_parent
from tests.reliability.places import Place, Server, client, hang_up
from tests.reliability.scenarios import SCENARIOS, Stage
from tests.reliability.steps import AFTER, BEFORE, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

KILLED = -9
UNSEEN = (
    *("SELECT", "BEGIN", "PRAGMA", "SET", "SHOW", "GET ", "HEAD ", "fsync"),
    *("INSERT INTO", "UPDATE", "DELETE FROM"),
)
"""Steps that nobody outside the process can see: they read, or keep what is there from a loss of power, or
are part of a transaction, which is seen when it is committed."""
BUSY = 21


@dataclass(frozen=True, slots=True)
class Spec:
    """What to play, where, and how much of it."""

    scenario: str
    folder: str
    url: str
    media: str
    server: dict[str, str] | None = None
    workers: int = 3
    every: bool = False
    """Run again after every death, and not only in every different state that deaths leave."""
    pairs: int = 0
    """Instead of one death in each world, so many worlds with two at random instants, one after the other."""
    seed: int = 7
    seconds: float = 1e9
    """Begin no more worlds after that long."""
    only: str = ""


@dataclass(slots=True)
class Report:
    """What was found. A violation names the fault that led to it."""

    points: list[str] = field(default_factory=list)
    deaths: int = 0
    missed: int = 0
    """Deaths that did not happen since the step did not come up; that run ended well."""
    states: int = 0
    """Different states that the dead left: rows, objects, uploads, files."""
    recoveries: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Matrix:
    """Plays one scenario's cells."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._scenario = SCENARIOS[spec.scenario]
        self._folder = Path(spec.folder)
        (self._folder / "states").mkdir()
        server = Server(**spec.server) if spec.server else None
        tag = f"{os.getpid():x}"
        template = Place(self._folder, server, tag, Path(spec.media), spec.url)
        self.stage = Stage(self._scenario, template, make_base(template))

    def play(self) -> Report:
        began = time.monotonic()
        report, states = Report(), set()
        steps = self.discover()
        report.points = sorted({step for step, _ in steps})
        cells = [functools.partial(self._cell, faults) for faults in self._faults(steps)]
        for cell in side_by_side(cells, self._spec.workers, self._folder, began + self._spec.seconds):
            report.deaths += cell["deaths"]
            report.missed += cell["missed"]
            report.recoveries += cell["recovered"]
            report.violations += cell["violations"]
            states.add(cell["state"])
        report.states = len(states)
        report.seconds = round(time.monotonic() - began, 1)
        return report

    def discover(self) -> list[tuple[str, int]]:
        """Every step of an undisturbed run, in order; of two, since threads may take turns differently."""
        found: dict[str, int] = {}
        for _ in range(2):
            place = self.stage.place()
            command = aside(lambda place=place: self._scenario.arrange(place))
            record = place.home.parent / "steps.json"
            ended = Actor(place.home, place.env, command, record=record).wait()
            problems = self._scenario.check(place)
            if ended.code != 0 or problems:
                raise RuntimeError(f"an undisturbed {self._spec.scenario} does not work: {problems} {ended}")
            facts = json.loads(record.read_text())
            load(facts["modules"], facts["patterns"])
            gc.freeze()
            found |= dict(facts["steps"])
            self.stage.remove(place)
        return list(found.items())

    def _faults(self, steps: Sequence[tuple[str, int]]) -> Iterator[tuple[Fault, ...]]:
        """What each world dies of: one fault, or in ``pairs`` two at random."""
        instants = [f for f in self._instants(steps) if self._spec.only in f.step]
        if self._spec.pairs:
            dice = random.Random(self._spec.seed)
            yield from ((dice.choice(instants), dice.choice(instants)) for _ in range(self._spec.pairs))
        else:
            yield from ((instant,) for instant in instants)

    def _instants(self, steps: Sequence[tuple[str, int]]) -> list[Fault]:
        """When to die: before and after each step.

        After one step and before the next of the same thread is one instant to everything outside the
        process, and so are the times before and after a step that is not seen there. Unless every instant is
        asked for, those that are the same are died at once.
        """
        faults, previous = [], 0
        for step, thread in steps:
            commits = step.startswith("COMMIT")
            if self._spec.every or thread != previous or commits:
                faults.append(Fault(step, BEFORE))
            if self._spec.every or not step.startswith(UNSEEN):
                faults.append(Fault(step, AFTER))
            previous = thread
        return faults

    def _cell(self, faults: Sequence[Fault]) -> dict[str, Any]:
        """Make a world, begin its command there, and die; if what is left is new, run again and look."""
        place = self.stage.place()
        command = aside(lambda: self._scenario.arrange(place))
        deaths, problems = 0, []
        for fault in faults:
            if deaths:
                self._scenario.pass_time(place)
            died = Actor(place.home, place.env, command, faults=[fault]).wait()
            deaths += died.code == KILLED
            if died.code not in (KILLED, 0):
                problems.append(f"instead of dying: {died}")
            problems += [f"outlived its parent: {p}" for p in place.processes()]
        left = self._scenario.state(place)
        recovers = self._is_new(left) or self._spec.every
        if recovers:
            problems += self._recover(place, command)
        if not problems:
            self.stage.remove(place)
        name = " then ".join(f"{f.when} {f.step}" for f in faults)
        return {
            "deaths": deaths,
            "missed": len(faults) - deaths,
            "state": left,
            "recovered": int(recovers),
            "violations": [f"{self._spec.scenario}, killed {name}: {p}" for p in problems],
        }

    def _is_new(self, state: str) -> bool:
        """Whether no other cell has left the same; the first that asks is told so."""
        mark = self._folder / "states" / hashlib.sha256(state.encode()).hexdigest()
        with contextlib.suppress(FileExistsError):
            mark.touch(exist_ok=False)
            return True
        return False

    def _recover(self, place: Place, command: Sequence[str]) -> list[str]:
        """The same command again in what the dead left, and what is true then; once more if that is new."""
        self._scenario.pass_time(place)
        first = self._call(place, command)
        problems = [] if first.code == 0 else [f"the next run: {first}"]
        problems += self._scenario.check(place)
        if not problems and not (self._is_new(f"end {self._scenario.state(place)}") or self._spec.every):
            return []
        before = self._scenario.dump(place)
        second = self._call(place, command)
        if (second.code, second.outcome) != (0, self._scenario.unchanged):
            problems.append(f"a further run is not {self._scenario.unchanged}: {second}")
        return problems + changed(before, self._scenario.dump(place))

    def _call(self, place: Place, command: Sequence[str]) -> Ended:
        """Run it as an operator would: again while the database still holds a dead owner's locks."""
        for _ in range(5):
            ended = Actor(place.home, place.env, command).wait()
            if ended.code != BUSY:
                break
        return ended


def changed(before: dict[str, list[str]], after: dict[str, list[str]]) -> list[str]:
    """What differs between two dumps."""
    return [
        f"a further run changed {name}: {sorted(set(before[name]) ^ set(after[name]))}"
        for name in before
        if before[name] != after[name]
    ]


def make_base(template: Place) -> Place:
    """A home that is set up, with nothing in it: copied for each place."""
    place = replace(template, home=template.home / "base" / "home")
    place.home.parent.mkdir(parents=True)
    ended = Actor(place.home, place.env, ["init"]).wait()
    if ended.code != 0:
        raise RuntimeError(f"init: {ended}")
    return place


def warm(server: Server | None) -> None:
    """Load what the program loads, so that forks need not; open nothing."""
    import boto3
    from botocore.loaders import JSONFileLoader, Loader

    read, listed = JSONFileLoader._load_file, functools.cache(Loader().list_available_services)
    models: dict[str, Any] = {}

    def load_once(loader: Any, path: str, open_method: Any) -> Any:
        if path not in models:
            models[path] = read(loader, path, open_method)
        return models[path]

    JSONFileLoader._load_file = load_once
    # Each new client would look through a thousand folders for the services there are.
    Loader.list_available_services = lambda _, type_name: listed(type_name)
    boto3.client("s3", region_name="us-east-1", aws_access_key_id="none", aws_secret_access_key="none")
    if server is not None:
        client(server)


def load(modules: Iterable[str], patterns: Iterable[tuple[str, int]] = ()) -> None:
    """Import what a run imported, and compile the regular expressions it compiled."""
    re._MAXCACHE = 10_000  # type: ignore[attr-defined]
    for pattern, flags in patterns:
        re.compile(pattern, flags)
    for name in modules:
        if name not in sys.modules and name != "__main__":
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def side_by_side(
    works: Sequence[Callable[[], dict[str, Any]]], workers: int, folder: Path, until: float = float("inf")
) -> list[dict[str, Any]]:
    """Do each piece of work in a fork of its own, some at once; return their results.

    None is begun after ``until`` (monotonic).
    """
    hang_up()
    running: dict[int, Path] = {}
    results: list[dict[str, Any]] = []
    waiting = list(enumerate(works))
    while waiting or running:
        while waiting and len(running) < workers and time.monotonic() < until:
            number, work = waiting.pop(0)
            answer = folder / f"answer-{number}.json"
            pid = os.fork()
            if pid == 0:
                die_with_parent()
                _answer(work, answer)
            running[pid] = answer
        if not running:
            break
        pid, _ = os.wait()
        answer = running.pop(pid)
        results.append(json.loads(answer.read_text()))
        answer.unlink()
        if "failed" in results[-1]:
            raise RuntimeError(results[-1]["failed"])
    return results


def _answer(work: Callable[[], dict[str, Any]], answer: Path) -> None:
    try:
        result = work()
    except BaseException:
        result = {"failed": traceback.format_exc()}
    answer.write_text(json.dumps(result))
    os._exit(0)


def play(spec: dict[str, Any]) -> Report:
    """Play one scenario."""
    return Matrix(Spec(**spec)).play()
