"""Every wreck of the table, on SQLite with a folder and on PostgreSQL with S3, walked to its end.

Look at three levels, ask retry, plan, clean up, run: each says what the table says; looking and planning
change nothing; whatever was refused is there to the byte; in the end the job is whole and every byte
that there was is still somewhere.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import Conflict
from ingestctl.domain.job import Status
from ingestctl.domain.plan import Action
from ingestctl.domain.verification import Level, exit_of
from ingestctl.ops.retry import RetryOutcome
from ingestctl.pipeline import Outcome
from tests.wrecks.table import WRECKS, Wreck
from tests.wrecks.yard import OTHERS, OURS

if TYPE_CHECKING:
    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.plan import Plan
    from ingestctl.ops.audit import AuditReport
    from ingestctl.ops.retry import RetryResult
    from tests.wrecks.hands import Thing
    from tests.wrecks.yard import Yard

ORDER = ("video", "audio", "record", "upload")


@pytest.mark.parametrize("wreck", WRECKS, ids=lambda w: w.name)
def test_a_wreck_is_told_for_what_it_is_and_made_whole(yard: Yard, wreck: Wreck) -> None:
    bystander = of_bystander(yard)
    wreck.wreck(yard)
    before = yard.everything()
    look(yard, wreck)
    precious = yard.objects()
    assert yard.everything() == before, "looking and planning change nothing"
    assert said(yard.audit()) == wreck.audit
    clean(yard, wreck)
    make_whole(yard, wreck)
    assert of_bystander(yard) == bystander
    lost = Counter(thing.data for thing in precious.values())
    lost -= Counter(thing.data for thing in yard.objects().values())
    assert not lost, f"{[len(data) for data in lost]} bytes are nowhere any more"


def test_the_table_names_each_wreck_once() -> None:
    assert len({wreck.name for wreck in WRECKS}) == len(WRECKS) >= 30


# --- the walk


def look(yard: Yard, wreck: Wreck) -> None:
    for level, code in zip(Level, wreck.exits, strict=True):
        found = yard.verify(level)
        lines = (*found.findings, *found.strays)
        told = [(line.subject.value, line.verdict.value, line.evidence) for line in lines]
        assert " ".join(line.verdict for line in lines) == wreck.verdicts(level), (level, told)
        assert (exit_of([found.verdict]), all(line.evidence for line in lines)) == (code, True)
    done = yard.retry(dry_run=True)
    assert checklist(done) == wreck.retry, done.checks
    first, second = planned(yard, wreck), planned(yard, wreck)
    assert first == second
    told_plan = plan_words(first) if first else "conflict"
    assert told_plan == wreck.plan, first


def planned(yard: Yard, wreck: Wreck) -> Plan | None:
    """What ``cleanup --dry-run`` shows; None where it refuses the job as a whole."""
    try:
        return yard.prepare(level=wreck.level).fresh
    except Conflict:
        return None


def clean(yard: Yard, wreck: Wreck) -> None:
    """``cleanup``, and again after what its refusals ask for."""
    before, rows = yard.objects(), yard.everything()
    plan = planned(yard, wreck)
    code = apply(yard, wreck)
    assert code == wreck.cleanup
    if plan is None:
        assert yard.everything() == rows, "a refused job is left as it is"
    else:
        left = [i.ref for i in plan.items if i.action in (Action.KEEP, Action.ADOPT) and i.ref in before]
        unharmed(yard, before, [*left, *(r.ref for r in plan.refusals if r.ref)])
    if wreck.mend:
        wreck.mend(yard)
    if wreck.mend or wreck.include_valid:
        assert apply(yard, wreck, include_valid=wreck.include_valid) == 0
    assert yard.job().status == wreck.after


def apply(yard: Yard, wreck: Wreck, *, include_valid: bool = False) -> int:
    try:
        prepared = yard.prepare(level=wreck.level, include_valid=include_valid)
        return int(yard.cleanup(prepared).exit)
    except Conflict as refused:
        return int(refused.exit)


def make_whole(yard: Yard, wreck: Wreck) -> None:
    if yard.job().status is not Status.QUEUED:
        done = yard.retry(anyway=wreck.anyway)
        whole = yard.verify(Level.EXISTS).verdict == "intact"
        expected = RetryOutcome.REFUSED if whole else RetryOutcome.REQUEUED
        assert done.outcome is expected, done.checks
    ran = yard.run()
    assert (ran.error, ran.status) == (None, Status.SUCCEEDED)
    found = yard.verify(Level.DECODE, compare_audio=True)
    assert found.verdict == "intact", [(f.verdict.value, f.evidence) for f in found.findings]
    done = yard.everything()
    assert yard.run().outcome is Outcome.UNCHANGED
    assert yard.everything() == done, "whole is whole"
    assert said(yard.audit()) == (wreck.audit if wreck.well else "")
    assert yard.hands.uploads(yard.buckets) == []
    assert not list(yard.wiring.settings.scratch_root.glob("*"))


# --- in words


def checklist(done: RetryResult) -> str:
    odd = ", ".join(f"{check.id} {check.verdict}" for check in done.checks if check.verdict != "pass")
    return f"{done.outcome}: {odd}" if odd else str(done.outcome)


def plan_words(plan: Plan) -> str:
    words = [(item.subject, item.action.value) for item in plan.items]
    words += [(refusal.subject, "refused") for refusal in plan.refusals]
    words.sort(key=lambda pair: ORDER.index(pair[0].value))
    return ", ".join(f"{subject} {what}" for subject, what in words)


def said(report: AuditReport) -> str:
    """What an audit reports: all of it is of our job, or under our prefix."""
    ours = f"videos/{OURS}/"
    assert all(b.job_id == OURS or (b.finding.ref and b.finding.ref.key.startswith(ours)) for b in report.bad)
    return ", ".join(sorted(f"{b.finding.subject} {b.finding.verdict}" for b in report.bad))


# --- what must not change


def unharmed(yard: Yard, before: dict[ObjectRef, Thing], refs: list[ObjectRef]) -> None:
    now = yard.objects()
    for ref in refs:
        assert now.get(ref) == before[ref], f"{ref} was not to be touched"


def of_bystander(yard: Yard) -> tuple[dict[ObjectRef, Thing], list[str]]:
    objects = {ref: thing for ref, thing in yard.objects().items() if f"/{OTHERS}/" in f"/{ref.key}"}
    # An audit writes on rows when they were looked at; nothing else may change.
    columns = "bucket, key, kind, state, size_bytes, sha256, etag"
    rows = yard.sql(f"SELECT {columns} FROM ingest_artifacts WHERE video_id = :v", v=OTHERS)
    jobs = yard.sql("SELECT * FROM jobs WHERE id = :v", v=OTHERS)
    return objects, sorted(map(str, [*rows, *jobs]))
