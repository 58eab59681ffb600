"""``ingestctl verify-artifacts``: are the stored objects there, whole, and this job's (runbook Step 3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli import completion
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import JobArgument, JobOption, Output, Quiet, one_job
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Format, Id, Lines, Table
from ingestctl.domain.errors import Exit, UsageError
from ingestctl.domain.verification import Level, Subject, exit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.cli.schemas import BadRow, FindingData, VerifyListing, VerifyMany, VerifyOne
    from ingestctl.cli.view import Block
    from ingestctl.db.base import JobRow
    from ingestctl.domain.stop import Stop
    from ingestctl.domain.verification import Finding, Verification
    from ingestctl.ops.audit import AuditReport, Bad
    from ingestctl.ops.verify_many import ManyReport

HELP = """Step 3: verify a job's original video, extracted audio and metadata record.

One job by default at --level checksum (every byte is read); many (by filter, --all, --sample or
--older-than) at --level exists. --all --level exists compares listings with the database, page by page.
"""
EXITS = exit_status(
    Exit.NOT_FOUND,
    Exit.VERIFICATION_FAILED,
    Exit.CONFLICT,
    Exit.JOB_FAILED,
    Exit.SIGINT,
    Exit.SIGTERM,
)
NAMES = {
    Subject.VIDEO: "original video",
    Subject.AUDIO: "extracted audio",
    Subject.RECORD: "metadata record",
    Subject.UPLOAD: "unfinished upload",
}


@dataclass(frozen=True, slots=True)
class _Choice:
    """Which jobs, as typed."""

    status: tuple[str, ...]
    source: str | None
    since: str | None
    all: bool
    sample: float | None
    older_than: str | None
    max_minutes: float | None

    @property
    def many(self) -> bool:
        return bool(self.filtered or self.all or self.sample is not None or self.older_than)

    @property
    def filtered(self) -> bool:
        return bool(self.status or self.source or self.since)


def command(
    ctx: typer.Context,
    job: JobArgument = None,
    job_id: JobOption = None,
    level: Annotated[
        Level | None,
        typer.Option("--level", help="exists: HEAD or listing; checksum: every byte; decode: every frame."),
    ] = None,
    compare_audio: Annotated[
        bool,
        typer.Option("--compare-audio", help="With decode: extract the audio afresh and compare the bytes."),
    ] = False,
    status: Annotated[
        list[str] | None,
        typer.Option(
            "--status",
            "-s",
            help="Jobs of this status (default: succeeded).",
            autocompletion=completion.statuses,
        ),
    ] = None,
    source: Annotated[str | None, typer.Option("--source", help="A host, a source kind, or uploads.")] = None,
    since: Annotated[str | None, typer.Option("--since", help="Changed since: 2h, 7d, or a date.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every succeeded job.")] = False,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="5%", help="This share of jobs; always the same ones."),
    ] = None,
    older_than: Annotated[
        str | None,
        typer.Option("--older-than", metavar="30d", help="Not verified for so long; longest ago first."),
    ] = None,
    max_minutes: Annotated[
        float | None, typer.Option("--max-minutes", min=0.01, help="Begin no job after this long.")
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Choose the mode, verify where signals can stop it, show what was found."""
    choice = _Choice(tuple(status or ()), source, since, every, _percent(sample), older_than, max_minutes)

    def work(call: Call) -> Result:
        if bool(job or job_id) == choice.many:
            hint = "Name one job, or give --all, --status, --source, --since, --sample or --older-than."
            raise UsageError("say what to verify", hint=hint)
        if compare_audio and level is not Level.DECODE:
            raise UsageError("--compare-audio needs --level decode: it works on the decoded sound")
        if choice.many:
            return _stoppable(lambda stop: _many(call, choice, level or Level.EXISTS, compare_audio, stop))
        name, deep = one_job(job, job_id), level or Level.CHECKSUM
        return _stoppable(lambda stop: _one(call, name, deep, compare_audio, stop))

    execute(ctx, "verify-artifacts", work, output=output, quiet=quiet)


def _stoppable(check: Callable[[Stop], Result]) -> Result:
    from ingestctl.cli.signals import run_stoppable
    from ingestctl.domain.stop import Stop

    stop = Stop()
    left = "what was recorded before stays recorded"
    return run_stoppable(lambda: check(stop), stop, _nothing, left=left)


def _nothing(_message: str) -> None:
    """A check holds nothing that would have to be given back."""


def _percent(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        value = float(text.strip().removesuffix("%"))
    except ValueError:
        value = 0.0
    if not 0 < value <= 100:
        raise typer.BadParameter(f"--sample {text!r} is no share of jobs: write a percentage such as 5%")
    return value


# --- one job


def _one(call: Call, name: str, level: Level, compare_audio: bool, stop: Stop) -> Result:
    from ingestctl.ops.verify import verify_job

    wiring = call.wiring
    found = verify_job(wiring.store, wiring.verifier(stop), name, level, compare_audio=compare_audio)
    rows = [(NAMES[f.subject], f.verdict, f.evidence) for f in (*found.findings, *found.strays)]
    return Result(
        verification_data(found),
        (
            Table(("subject", "verdict", "evidence"), rows),
            Lines([f"job {found.job_id}: {found.verdict} (level {found.level})", *_next(found)]),
        ),
        exit_of([found.verdict]),
    )


def _next(found: Verification) -> list[str]:
    job = found.job_id
    match exit_of([found.verdict]):
        case Exit.VERIFICATION_FAILED:
            # Cleanup looks for itself: what only decoding shows, it must decode to see.
            deep = " --level decode" if found.level is Level.DECODE else ""
            return ["next:", f"  ingestctl cleanup {job}{deep} --dry-run", f"  ingestctl inspect {job}"]
        case Exit.UNAVAILABLE:
            return ["next:", "  ingestctl doctor", f"  ingestctl verify-artifacts {job} --level decode"]
        case _:
            return []


def verification_data(found: Verification) -> VerifyOne:
    """One job as JSON."""
    return {
        "job_id": found.job_id,
        "video_id": found.video_id,
        "status": found.status,
        "level": found.level,
        "verdict": found.verdict,
        "checked_at": found.checked_at,
        "findings": [finding_data(f) for f in found.findings],
        "strays": [finding_data(f) for f in found.strays],
    }


def finding_data(finding: Finding) -> FindingData:
    """One line of a verification as JSON."""
    return {
        "subject": finding.subject,
        "verdict": finding.verdict,
        "evidence": finding.evidence,
        "bucket": finding.ref.bucket if finding.ref else None,
        "key": finding.ref.key if finding.ref else None,
        "size_bytes": finding.size_bytes,
        "etag": finding.etag,
        "sha256": finding.sha256,
        "upload_id": finding.upload_id,
    }


# --- many


def _many(call: Call, choice: _Choice, level: Level, compare_audio: bool, stop: Stop) -> Result:
    from ingestctl.cli.meter import Meter

    wiring, verifier = call.wiring, call.wiring.verifier(stop)
    only_all = choice.all and not (choice.filtered or choice.sample is not None or choice.older_than)
    if only_all and level is Level.EXISTS and choice.max_minutes is None:
        from ingestctl.ops.audit import FleetAudit

        with Meter("rows compared", call.style) as meter:
            audit = FleetAudit(wiring.store, wiring.storage, verifier, wiring.buckets, stop, meter)
            return _audit_result(audit.run())
    from ingestctl.ops.verify_many import verify_many

    with Meter("jobs verified", call.style) as meter:
        report = verify_many(
            wiring.store,
            verifier,
            _jobs(call, choice),
            level,
            stop,
            compare_audio=compare_audio,
            sample=choice.sample or 100.0,
            max_minutes=choice.max_minutes,
            keep_all=call.style.format is Format.NDJSON,
            progress=meter,
        )
    return _many_result(report)


def _jobs(call: Call, choice: _Choice) -> Iterator[JobRow]:
    from ingestctl.ops.find import JobQuery, job_filter, moment

    store = call.wiring.store
    now = store.now()
    statuses = choice.status or ("succeeded",)
    where = job_filter(JobQuery(statuses=statuses, source=choice.source, since=choice.since), now)
    before = moment("--older-than", choice.older_than, now)
    if before is None:
        return store.scan(where)
    if choice.status:
        raise UsageError("--older-than is about succeeded jobs: leave --status out")
    return store.scan_least_verified(where, verified_before=before)


def _many_result(report: ManyReport) -> Result:
    bad = [verification_data(f) for f in report.bad]
    data: VerifyMany = {
        "mode": "jobs",
        "level": report.level,
        "checked": report.checked,
        "counts": dict(report.counts),
        "bad": bad,
        "not_listed": report.not_listed,
        "database_pages": report.database_pages,
        "complete": report.complete,
    }
    rows = [
        (Id(v.job_id), v.verdict, NAMES[f.subject], f.verdict, f.evidence)
        for v in report.bad
        for f in (*v.findings, *v.strays)
        if f.verdict != "intact"
    ]
    remarks = [_summary(report.checked, "jobs", report.counts), *_not_all(report.not_listed)]
    if not report.complete:
        remarks.append("time is up before the last job: run the same again, and it goes on from there")
    columns = ("job", "job verdict", "subject", "verdict", "evidence")
    items = None if report.all is None else [verification_data(f) for f in report.all]
    exit_code = exit_of(v for v, n in report.counts.items() if n)
    return Result(data, _listed(columns, rows, remarks), exit_code, items=items)


def _audit_result(report: AuditReport) -> Result:
    bad = [_bad_data(b) for b in report.bad]
    data: VerifyListing = {
        "mode": "listing",
        "level": report.level,
        "checked": report.rows,
        "counts": dict(report.counts),
        "bad": bad,
        "not_listed": report.not_listed,
        "objects": report.objects,
        "orphans": report.orphans,
        "unfinished_uploads": report.unfinished_uploads,
        "unrecorded_jobs": report.unrecorded_jobs,
        "listing_requests": report.listing_requests,
        "upload_listing_requests": report.upload_listing_requests,
        "database_pages": report.database_pages,
        "complete": True,
    }
    rows = [
        (
            Id(b.job_id) if b.job_id else None,
            NAMES[b.finding.subject],
            b.finding.verdict,
            str(b.finding.ref or ""),
            b.finding.evidence,
        )
        for b in report.bad
    ]
    remarks = [
        _summary(report.rows, "artifact rows", report.counts)
        + f"; {report.objects} objects in {report.listing_requests} listing requests,"
        f" {report.database_pages} database pages",
        *_not_all(report.not_listed),
    ]
    columns = ("job", "subject", "verdict", "object", "evidence")
    exit_code = exit_of(v for v, n in report.counts.items() if n)
    return Result(data, _listed(columns, rows, remarks), exit_code, items=bad)


def _listed(columns: tuple[str, ...], rows: list[tuple[Any, ...]], remarks: list[str]) -> tuple[Block, ...]:
    return (Table(columns, rows), Lines(remarks)) if rows else (Lines(remarks),)


def _bad_data(bad: Bad) -> BadRow:
    return {"job_id": bad.job_id, "video_id": bad.video_id, **finding_data(bad.finding)}


def _summary(checked: int, what: str, counts: dict[Any, int]) -> str:
    found = ", ".join(f"{number} {verdict}" for verdict, number in counts.items() if number)
    return f"{checked} {what}: {found or 'nothing to check'}"


def _not_all(number: int) -> list[str]:
    return [f"{number} more are not listed here"] if number else []
