"""The crash matrix of one scenario: find every durable step, die at each, run again, look.

``python -m tests.reliability.matrix`` reads a :class:`Spec` as JSON on stdin and writes a report as JSON. It
is a process of its own because it forks: it never opens a connection or starts a thread itself.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import random
import sys
import time
import traceback
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reliability.actors import Actor, Ended, aside
from tests.reliability.places import Place, Server, client
from tests.reliability.scenarios import SCENARIOS, Stage
from tests.reliability.steps import AFTER, BEFORE, Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

KILLED = -9
READS = ("SELECT", "BEGIN", "PRAGMA", "SET", "SHOW", "GET ", "HEAD ")
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
    """With ``every``: worlds with two deaths one after the other at random instants, besides."""
    seed: int = 7
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
        server = Server(**spec.server) if spec.server else None
        tag = f"{os.getpid():x}"
        template = Place(self._folder, server, tag, Path(spec.media), spec.url)
        warm(server)
        self.stage = Stage(self._scenario, template, make_base(template))

    def play(self) -> Report:
        began = time.monotonic()
        report = Report()
        steps = self.discover()
        report.points = sorted({step for step, _ in steps})
        faults = [(f,) for f in self._instants(steps) if self._spec.only in f.step]
        if self._spec.every:
            dice = random.Random(self._spec.seed)
            pairs = [(dice.choice(faults)[0], dice.choice(faults)[0]) for _ in range(self._spec.pairs)]
            faults += pairs
        died = self._side_by_side([functools.partial(self._die, f) for f in faults])
        states: dict[str, dict[str, Any]] = {}
        for number, death in enumerate(died):
            report.deaths += death["deaths"]
            report.missed += death["missed"]
            report.violations += death["violations"]
            states.setdefault(str(number) if self._spec.every else death["state"], death)
        report.states = len({death["state"] for death in died})
        recovered = self._side_by_side([functools.partial(self._recover, d) for d in states.values()])
        report.recoveries = len(recovered)
        report.violations += [v for r in recovered for v in r["violations"]]
        report.seconds = round(time.monotonic() - began, 1)
        return report

    def _side_by_side(self, works: Sequence[Callable[[], dict[str, Any]]]) -> list[dict[str, Any]]:
        return side_by_side(works, self._spec.workers, self._folder)

    def discover(self) -> list[tuple[str, int]]:
        """Every step of an undisturbed run, in order; of two, since threads may take turns differently."""
        found: dict[str, int] = {}
        for _ in range(2):
            place = self.stage.place()
            command = aside(lambda place=place: self._scenario.arrange(place))
            record = place.home.parent / "steps.json"
            ended = Actor(place.home, place.env, command, record=record).wait()
            problems = aside(lambda place=place: self._scenario.check(place))
            if ended.code != 0 or problems:
                raise RuntimeError(f"an undisturbed {self._spec.scenario} does not work: {problems} {ended}")
            facts = json.loads(record.read_text())
            load(facts["modules"])
            found |= dict(facts["steps"])
            aside(lambda place=place: self.stage.remove(place))
        return list(found.items())

    def _instants(self, steps: Sequence[tuple[str, int]]) -> list[Fault]:
        """When to die: before and after each step.

        After one step and before the next of the same thread is one instant to everything outside the
        process, and a step that only reads changes nothing out there: unless every instant is asked for,
        those that are the same are died at once.
        """
        faults, previous = [], 0
        for step, thread in steps:
            if self._spec.every or thread != previous:
                faults.append(Fault(step, BEFORE))
            if self._spec.every or not step.startswith(READS):
                faults.append(Fault(step, AFTER))
            previous = thread
        return faults

    def _die(self, faults: Sequence[Fault]) -> dict[str, Any]:
        """Make a world, begin its command there, and die at the fault; then say what is left."""
        place = self.stage.place()
        command = aside(lambda: self._scenario.arrange(place))
        deaths, problems = 0, []
        for fault in faults:
            if deaths:
                aside(place.age_leases)
            died = Actor(place.home, place.env, command, faults=[fault]).wait()
            deaths += died.code == KILLED
            if died.code not in (KILLED, 0):
                problems.append(f"instead of dying: {died}")
            problems += [f"outlived its parent: {p}" for p in place.processes()]
        name = " then ".join(f"{f.when} {f.step}" for f in faults)
        return {
            "name": f"{self._spec.scenario}, killed {name}",
            "command": command,
            "place": asdict(replace(place, server=None))
            | {"home": str(place.home), "media": str(place.media)},
            "database": place.server.database_url if place.server else "",
            "deaths": deaths,
            "missed": len(faults) - deaths,
            "state": aside(lambda: self._scenario.state(place)),
            "violations": [f"{self._spec.scenario}, killed {name}: {p}" for p in problems],
        }

    def _recover(self, death: dict[str, Any]) -> dict[str, Any]:
        """The same command again in what the dead left, and what is true then; and once more."""
        place, command = self.stage.again(death["place"], death["database"]), death["command"]
        aside(lambda: self._scenario.pass_time(place))
        first = self._call(place, command)
        problems = [] if first.code == 0 else [f"the next run: {first}"]
        found, before = aside(lambda: (self._scenario.check(place), self._scenario.dump(place)))
        second = self._call(place, command)
        if (second.code, second.outcome) != (0, self._scenario.unchanged):
            problems.append(f"a further run is not {self._scenario.unchanged}: {second}")
        problems += [*found, *changed(before, aside(lambda: self._scenario.dump(place)))]
        if not problems:
            aside(lambda: self.stage.remove(place))
        return {"violations": [f"{death['name']}: {p}" for p in problems]}

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
    from botocore.loaders import JSONFileLoader

    real, models = JSONFileLoader._load_file, {}

    def load_once(loader: Any, path: str, open_method: Any) -> Any:
        if path not in models:
            models[path] = real(loader, path, open_method)
        return models[path]

    JSONFileLoader._load_file = load_once
    if server is not None:
        client(server)


def load(modules: Iterable[str]) -> None:
    """Import what a run imported."""
    for name in modules:
        if name not in sys.modules and name != "__main__":
            with contextlib.suppress(Exception):
                importlib.import_module(name)


def side_by_side(
    works: Sequence[Callable[[], dict[str, Any]]], workers: int, folder: Path
) -> list[dict[str, Any]]:
    """Do each piece of work in a fork of its own, some at once; return their results in order."""
    running: dict[int, Path] = {}
    results: dict[str, dict[str, Any]] = {}
    waiting = list(enumerate(works))
    while waiting or running:
        while waiting and len(running) < workers:
            number, work = waiting.pop(0)
            answer = folder / f"answer-{number}.json"
            pid = os.fork()
            if pid == 0:
                _answer(work, answer)
            running[pid] = answer
        pid, _ = os.wait()
        answer = running.pop(pid)
        results[answer.name] = json.loads(answer.read_text())
        answer.unlink()
        if "failed" in results[answer.name]:
            raise RuntimeError(results[answer.name]["failed"])
    return [results[f"answer-{number}.json"] for number in range(len(works))]


def _answer(work: Callable[[], dict[str, Any]], answer: Path) -> None:
    try:
        result = work()
    except BaseException:
        result = {"failed": traceback.format_exc()}
    answer.write_text(json.dumps(result))
    os._exit(0)


def main() -> None:
    report = Matrix(Spec(**json.load(sys.stdin))).play()
    json.dump(asdict(report), sys.stdout)


if __name__ == "__main__":
    main()
