"""Playing one case: the run that meets the fault, what it says and leaves, and the run after the fault."""

from __future__ import annotations

import json
import threading
from typing import TYPE_CHECKING, Any

from tests.faults.cases import FOR_GOOD, ONCE, Case
from tests.faults.stage import Cue, Lines
from tests.reliability import oracle
from tests.reliability.places import client
from tests.services.fault_proxy import Fault, nth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.stage import Stage
    from tests.reliability.actors import Ended
    from tests.reliability.places import Place

DEADLINE_S = 45.0
"""Far beyond what the settings of the stage allow a run to be patient for (some 20 s), for busy machines."""
SOURCE_REQUEST = {"look": 1, "body": 2}
"""yt-dlp asks a direct link twice: once to look, once to download."""


def play(stage: Stage, case: Case, place: Place, lines: Lines, job: str) -> list[str]:
    """Violations, each named after the case."""
    cue = arm(case, lines)
    ended = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
    lines.heal()
    problems = [] if cue() else ["the fault never struck"]
    if case.cause:
        problems += [*failed(place, ended, case), *healed(stage, place, job, case)]
    else:
        problems += whole(place, ended)
    return [f"{case}: {problem}" for problem in problems]


def arm(case: Case, lines: Lines) -> Callable[[], bool]:
    """Let the fault strike at its time; the answer tells whether it did."""
    line = lines.of(case.service)
    if case.service == "source":
        number = SOURCE_REQUEST[case.phase]
        cue = _Requests(number, lambda: _strike(case, lines))
        line.watch = cue
    else:
        cue = Cue(case.phase, lambda: _strike(case, lines), once_recorded=case.service == "postgres")
        lines.postgres.watch = cue
    one = case.lasts == ONCE or bool(case.words)
    return lambda: cue.struck and (line.strikes > 0 or not one)


class _Requests:
    """Strikes at the n-th request."""

    def __init__(self, number: int, strike: Callable[[], Fault | None]) -> None:
        self._left = number
        self._strike = strike
        self.struck = False

    def __call__(self, _: bytes) -> Fault | None:
        self._left -= 1
        if self._left:
            return None
        self.struck = True
        return self._strike()


def _strike(case: Case, lines: Lines) -> Fault | None:
    line = lines.of(case.service)
    if case.words:
        line.watch = nth(1, *case.words, fault=case.fault, times=1 if case.lasts == ONCE else 1000)
        return None
    if case.lasts != ONCE:
        line.line = case.fault
        if case.lasts != FOR_GOOD:
            timer = threading.Timer(case.lasts, setattr, (line, "line", None))
            timer.daemon = True
            timer.start()
        return None
    if case.service == "s3":  # the phase is told by the database: the next request to the store is meant
        line.watch = nth(1, fault=case.fault)
        return None
    return case.fault


# --- what must be true


def said(ended: Ended) -> dict[str, Any]:
    """The envelope; empty if there is none."""
    try:
        found: dict[str, Any] = json.loads(ended.stdout)
    except ValueError:
        return {}
    return found


def failed(place: Place, ended: Ended, case: Case) -> Iterator[str]:
    """Violations of: the right cause and exit code, told and (where it could be) stored; nothing half."""
    envelope = said(ended)
    diagnosis = (envelope.get("data") or {}).get("diagnosis") or {}
    if ended.code not in case.codes or diagnosis.get("cause") != case.cause:
        yield f"exit {ended.code} with cause {diagnosis.get('cause')}, not {case.cause}: {ended}"
    rows = place.rows()
    [job] = [job for job in rows["jobs"] if job["type"] == "ingest"]
    run = max(rows["job_runs"], key=lambda run: run["attempt"])
    states = (job["status"], run["status"])
    if states == ("failed", "failed"):
        shown = (run["error_code"], job["error_message"], run["error_details"].get("evidence") is not None)
        if shown != (case.cause, run["error_message"], True):
            yield f"stored as {shown}"
    elif case.service != "postgres" or states not in (("running", "running"), ("succeeded", "succeeded")):
        yield f"job and attempt are {states}"
    yield from nothing_half(place, uploads=case.service == "s3")


def nothing_half(place: Place, *, uploads: bool) -> Iterator[str]:
    """Violations of: what is under a key is whole, scratch is empty; ``uploads`` may be left unfinished."""
    for (bucket, key), found in place.objects().items():
        wanted = place.media.stat().st_size if key.endswith("mp4") else None
        if wanted not in (None, found.size):
            yield f"{bucket}/{key} has {found.size} of {wanted} bytes"
    left = [f for f in place.leftovers() if not (uploads and f.startswith("upload"))]
    yield from [*left, *place.processes()]


def healed(stage: Stage, place: Place, job: str, case: Case) -> list[str]:
    """Violations of: once the fault is gone and the lease is over, the next run ends whole."""
    place.age_leases()
    again = stage.parent.run(place, "run", "--job-id", job, timeout=DEADLINE_S)
    problems = [] if again.code == 0 else [f"the next run: {again}"]
    return problems + oracle.ingested(place, causes=oracle.CRASHED | {case.cause})


def whole(place: Place, ended: Ended) -> list[str]:
    """Violations of: the run lived through it, in one attempt."""
    problems = [] if ended.code == 0 else [f"it did not live through it: {ended}"]
    found = oracle.ingested(place, causes=frozenset())
    attempts = len(place.rows()["job_runs"])
    return problems + found + ([f"{attempts} attempts"] if attempts != 1 else [])


def either_end(stage: Stage, place: Place, job: str, ended: Ended, service: str) -> list[str]:
    """Violations of: whole or, where it outlasted a patience on a slow machine, failed and then whole."""
    cause = {"postgres": "database_error", "s3": "storage_error"}[service]
    if ended.code == 0:
        return whole(place, ended)
    case = Case(service, "", Fault("refuse"), cause=cause, codes=frozenset({20}))
    return [*failed(place, ended, case), *healed(stage, place, job, case)]


def connect(place: Place) -> None:
    """Make the store's client, which places share, before threads do."""
    if place.server is not None:
        client(place.server)
