"""Many at once, paused owners, wrong clocks, a busy machine. Played like the matrix, and on its stage."""

from __future__ import annotations

import datetime
import functools
import itertools
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reliability import oracle
from tests.reliability.actors import Actor, aside, swarm
from tests.reliability.matrix import BUSY, KILLED, Matrix, changed, side_by_side
from tests.reliability.matrix import Spec as MatrixSpec
from tests.reliability.scenarios import SCENARIOS, opened
from tests.reliability.steps import AFTER, BEFORE, Fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.reliability.places import Place

SHORT = {"INGESTCTL_LEASE_SECONDS": "2", "INGESTCTL_HEARTBEAT_SECONDS": "0.4"}
LOADED = {"INGESTCTL_LEASE_SECONDS": "4", "INGESTCTL_HEARTBEAT_SECONDS": "0.5"}
TAKEOVER_S = 60.0
"""How long a paused owner may keep others out, and how long it may take to end; a busy machine is slow."""


@dataclass(frozen=True, slots=True)
class Spec:
    """What to play, where, and how often."""

    play: str
    folder: str
    url: str
    media: str
    server: dict[str, str] | None = None
    count: int = 1
    workers: int = 3
    seed: int = 7
    seconds: float = 1e9
    """Pause no more owners after that long."""


@dataclass(slots=True)
class Report:
    """What was done, and what was wrong."""

    figures: dict[str, int] = field(default_factory=dict)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0


class Races:
    """Plays on the matrix's stage."""

    def __init__(self, spec: Spec) -> None:
        self._spec = spec
        self._scenario = SCENARIOS["run"]
        matrix = MatrixSpec("run", spec.folder, spec.url, spec.media, spec.server)
        self._matrix = Matrix(matrix)
        self._stage = self._matrix.stage

    def play(self) -> Report:
        began = time.monotonic()
        figures, violations = getattr(self, self._spec.play)()
        return Report(dict(figures), violations, round(time.monotonic() - began, 1))

    def _begun(self, more: dict[str, str] | None = None) -> tuple[Place, list[str]]:
        place = self._stage.place()
        place = replace(place, more={**place.more, **(more or {})})
        return place, aside(lambda: self._scenario.arrange(place))

    # --- many starts of one job

    def starts(self) -> tuple[Counter[str], list[str]]:
        """``count`` processes that each start the same job 20 times, all beginning at one instant."""
        place, command = self._begun({"INGESTCTL_DATABASE_TIMEOUT_SECONDS": "60"})
        job_id = command[-1]
        ended = Counter(
            o for many in swarm(self._spec.count, functools.partial(_starts, place, job_id, 20)) for o in many
        )
        rows = place.rows()
        problems = oracle.ingested(place)
        if len(rows["job_runs"]) != 1 or ended["succeeded"] != 1:
            problems.append(f"{len(rows['job_runs'])} attempts, starts ended {dict(ended)}")
        if set(ended) - {"succeeded", "busy", "unchanged"}:
            problems.append(f"starts ended {dict(ended)}")
        return Counter({"starts": sum(ended.values()), **ended}), problems

    # --- paused owners

    def zombies(self) -> tuple[Counter[str], list[str]]:
        """``count`` owners stopped at different steps, their lease over, the job taken over, continued."""
        return self._zombies({"INGESTCTL_DATABASE_TIMEOUT_SECONDS": "1.5"}, waits=False)

    def zombies_waited(self) -> tuple[Counter[str], list[str]]:
        """The same with short leases that really run out, so that the owner's own watchdog plays too."""
        return self._zombies({"INGESTCTL_DATABASE_TIMEOUT_SECONDS": "1.5", **SHORT}, waits=True)

    def _zombies(self, more: dict[str, str], *, waits: bool) -> tuple[Counter[str], list[str]]:
        until = time.monotonic() + self._spec.seconds
        faults = self._where(self._matrix.discover())
        figures: Counter[str] = Counter()
        violations: list[str] = []
        # Threads take turns differently each time, so some steps do not come up again: others stand in.
        for _ in range(4):
            chosen = list(itertools.islice(faults, self._spec.count - figures["zombies"]))
            cells = [functools.partial(self._zombie, fault, more, waits) for fault in chosen]
            for cell in side_by_side(cells, self._spec.workers, Path(self._spec.folder), until):
                figures.update(cell["figures"])
                violations += cell["violations"]
        return figures, violations

    def _where(self, steps: Sequence[tuple[str, int]]) -> Iterator[Fault]:
        """Where to stop: before each publication and before the last commit, then at random, without end.

        On SQLite not inside a transaction: there is no server to end a paused process's lock.
        """
        names = [step for step, _ in steps]
        if self._spec.server is None:
            own = [n for n in names if n.partition(" ")[0] in _OF_FOLDER or n.startswith("start ")]
            last = Fault([n for n in names if n.startswith("BEGIN")][-1], BEFORE)
        else:
            own = names
            last = Fault([n for n in names if n.startswith("COMMIT")][-1], BEFORE)
        first = own.index(next(n for n in own if "scratch" in n))
        own = own[first:-9]  # from the claim to the commit
        publish = [n for n in own if n.startswith("link ") or (n.startswith("POST ") and "uploadId" in n)]
        chosen = [*(Fault(n, w) for n in publish for w in (BEFORE, AFTER)), last]
        dice = random.Random(self._spec.seed)
        rest = [Fault(n, w) for n in own for w in (BEFORE, AFTER)]
        dice.shuffle(rest)
        for fault in itertools.chain(dict.fromkeys([*chosen, *rest]), itertools.cycle(rest)):
            yield replace(fault, number=signal.SIGSTOP)

    def _zombie(self, fault: Fault, more: dict[str, str], waits: bool) -> dict[str, Any]:
        place, command = self._begun(more)
        name = f"stopped {fault.when} {fault.step}"
        owner = Actor(place.home, place.env, command, faults=[fault])
        if not owner.stopped():
            return {"figures": {"not reached": 1}, "violations": []}
        try:
            time.sleep(2.2) if waits else place.age_leases()
        except sqlite3.OperationalError as error:  # another of its threads was inside a transaction
            return self._held(place, command, owner, f"{name}: {error}")
        until = time.monotonic() + TAKEOVER_S
        # A server ends a paused transaction after a while; until then the job's row is locked.
        while (taker := Actor(place.home, place.env, command).wait()).code in (20, BUSY):
            if time.monotonic() > until or (self._spec.server is None and "locked" in str(taker)):
                return self._held(place, command, owner, f"{name}: nobody could take over: {taker}")
            time.sleep(0.2)
        before = place.dump()
        owner.signal(signal.SIGCONT)
        late = owner.wait(TAKEOVER_S)
        problems = oracle.ingested(place) + changed(before, place.dump())
        # Stopped after its own commit, it has not lost anything, and may say so.
        committed = taker.outcome == "unchanged"
        ends = [(BUSY, late.outcome), (0, "unchanged"), *([(0, "succeeded")] if committed else [])]
        # One whose connection the server ended meanwhile may learn that before it learns of the takeover.
        cut_off = late.code == 20 and "lease_unrenewed" in str(late)
        if taker.code != 0 or ((late.code, late.outcome) not in ends and not cut_off):
            problems.append(f"the taker ended with {taker}\nthe paused owner ended with {late}")
        if not problems:
            self._stage.remove(place)
        kind = "paused after its commit" if committed else "zombies"
        return {"figures": {kind: 1}, "violations": [f"{name}: {p}" for p in problems]}

    def _held(self, place: Place, command: list[str], owner: Actor, told: str) -> dict[str, Any]:
        """Paused in a transaction on SQLite, an owner holds the file's lock: it is still the only one."""
        owner.signal(signal.SIGCONT)
        late = owner.wait(TAKEOVER_S)
        problems = [] if self._spec.server is None and "locked" in told else [told]
        if late.code not in (0, BUSY):
            problems.append(f"{told}; the paused owner ended with {late}")
        place.age_leases()
        Actor(place.home, place.env, command).wait()
        problems += [f"{told}: {p}" for p in oracle.ingested(place)]
        return {"figures": {"held its lock": 1}, "violations": problems}

    # --- two rounds of cron

    def pending(self) -> tuple[Counter[str], list[str]]:
        """Two ``run --pending`` at once over ``count`` jobs: each job is run once, by one of them."""
        place, _ = self._begun()
        aside(lambda: _submit_more(place, self._spec.count - 1))
        command = ["run", "--pending", "--concurrency", "2", "--quiet"]
        crons = [Actor(place.home, place.env, command) for _ in range(2)]
        ended = [cron.wait(120) for cron in crons]
        like = "source_uri LIKE ?"
        of_jobs = (
            f"SELECT j.id FROM jobs j JOIN videos v ON v.id = j.video_id WHERE v.{like} AND j.type = 'ingest'"
        )
        pattern = f"{place.url}%"
        runs = place.query(f"SELECT job_id, status FROM job_runs WHERE job_id IN ({of_jobs})", pattern)
        problems = [f"a round ended with {e}" for e in ended if e.code != 0]
        per_job = Counter(run["job_id"] for run in runs)
        if len(per_job) != self._spec.count or set(per_job.values()) != {1}:
            problems.append(f"attempts per job: {sorted(per_job.values())} of {self._spec.count} jobs")
        if {run["status"] for run in runs} != {"succeeded"}:
            problems.append(f"attempts ended {Counter(run['status'] for run in runs)}")
        share = [len(json.loads(e.stdout)["data"]["runs"]) for e in ended if e.code == 0]
        if sum(share) != self._spec.count:
            problems.append(f"the rounds tell of {share} runs")
        return Counter({"jobs": self._spec.count, "rounds": 2}), problems

    # --- wrong clocks

    def clocks(self) -> tuple[Counter[str], list[str]]:
        """Owners whose clocks are hours off, and others whose clocks are off the other way."""
        problems: list[str] = []
        pairs = [(5.0, -7.0), (-7.0, 5.0), (0.0, 24.0), (24.0, 0.0)]
        for mine, theirs in pairs:
            place, command = self._begun()
            began = datetime.datetime.now(datetime.UTC)
            fault = Fault("COMMIT#5", AFTER, signal.SIGSTOP)
            owner = Actor(
                place.home, place.env, command, faults=[fault], prepare=functools.partial(shift, mine)
            )
            owner.stopped()
            turned_away = Actor(
                place.home, place.env, command, prepare=functools.partial(shift, theirs)
            ).wait()
            owner.signal(signal.SIGCONT)
            kept = owner.wait()
            name = f"clocks {mine:+} h and {theirs:+} h"
            if (turned_away.code, kept.code) != (BUSY, 0):
                problems.append(f"{name}: {turned_away} {kept}")
            problems += [f"{name}: {p}" for p in oracle.ingested(place)]
            place, command = self._begun()
            fault = Fault("COMMIT#5", AFTER)
            died = Actor(
                place.home, place.env, command, faults=[fault], prepare=functools.partial(shift, mine)
            ).wait()
            place.age_leases()
            took = Actor(place.home, place.env, command, prepare=functools.partial(shift, theirs)).wait()
            if (died.code, took.code) != (KILLED, 0):
                problems.append(f"{name}, dead: {died} {took}")
            problems += [f"{name}, dead: {p}" for p in oracle.ingested(place)]
            problems += [f"{name}: {p}" for p in _odd_times(place, began)]
        return Counter({"pairs of clocks": len(pairs)}), problems

    # --- a busy machine

    def load(self) -> tuple[Counter[str], list[str]]:
        """A worker with a lease of 4 s on a longer job, beside ``count`` processes that only compute."""
        place = self._stage.place()
        slow = place.url.replace("/files/", "/slow=6000/files/")
        place = replace(place, url=slow, more=LOADED)
        command = aside(lambda: self._scenario.arrange(place))
        burners = [_burn() for _ in range(self._spec.count)]
        began = time.monotonic()
        try:
            ended = Actor(place.home, place.env, command).wait(120)
        finally:
            for pid in burners:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
        took = time.monotonic() - began
        problems = [] if ended.code == 0 else [f"the worker ended with {ended}"]
        problems += oracle.ingested(place)
        if len(place.rows()["job_runs"]) != 1:
            problems.append("the lease was lost")
        if took < 5:
            problems.append(f"the job took only {took:.1f} s: nothing was proved")
        return Counter({"burners": self._spec.count}), problems


_OF_FOLDER = ("mkdir", "open", "write", "fsync", "link", "rename", "replace", "unlink", "rmdir", "utime")


def _starts(place: Place, job_id: str, times: int) -> list[str]:
    """Start the job that many times, one after the other; how each start ended."""
    from ingestctl.domain.errors import IngestError
    from ingestctl.domain.stop import Stop
    from ingestctl.telemetry import Observers

    wiring = opened(place)
    pipeline, ended = wiring.pipeline(Observers()), []
    for _ in range(times):
        try:
            ended.append(str(pipeline.run(job_id, Stop()).outcome))
        except IngestError as error:
            ended.append(error.code)
    return ended


def _submit_more(place: Place, count: int) -> None:
    submitter = opened(place).submitter()
    for number in range(count):
        submitter.submit(f"{place.url}-{number}")


def shift(hours: float) -> None:
    """Put this process's clock wrong: for the program's own code, and for all that asks ``time.time``."""
    real, off = time.time, datetime.timedelta(hours=hours)

    class Shifted(datetime.datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return super().now(tz) + off

    time.time = lambda: real() + off.total_seconds()
    for name, module in list(sys.modules.items()):
        if name.startswith("ingestctl.") and getattr(module, "datetime", None) is datetime.datetime:
            module.datetime = Shifted  # type: ignore[attr-defined]


def _odd_times(place: Place, began: datetime.datetime) -> list[str]:
    """Times in the database that are not now: it alone is to say what time it is."""
    found = []
    for table, rows in place.rows().items():
        for row in rows:
            for column, value in row.items():
                if column.endswith("_at") and value is not None and column != "published_at":
                    moment = datetime.datetime.fromisoformat(str(value))
                    moment = moment if moment.tzinfo else moment.replace(tzinfo=datetime.UTC)
                    if abs((moment - began).total_seconds()) > 600:
                        found.append(f"{table}.{column} is {value}")
    return found


def _burn() -> int:
    pid = os.fork()
    if pid == 0:
        while True:
            sum(range(100_000))
    return pid


def play(spec: dict[str, Any]) -> Report:
    """Play one race."""
    return Races(Spec(**spec)).play()
