# ruff: noqa: D102 - what each method promises is written once, in FactStore (operator.py)
"""What the escalation rules are computed from. See :class:`ingestctl.db.operator.FactStore`."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import sqlalchemy as sa

from ingestctl.db.operator import FailureFact
from ingestctl.db.rows import IS_INGEST, literal
from ingestctl.db.tables import ingest_artifacts, ingest_incidents, job_runs, jobs, videos
from ingestctl.db.types import now
from ingestctl.domain.artifact import ArtifactState, ObjectRef
from ingestctl.domain.causes import CAUSES, diagnose
from ingestctl.domain.job import Status, stored_words
from ingestctl.domain.source import SourceKind
from ingestctl.domain.verification import BROKEN

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime

    from sqlalchemy.engine import RowMapping

    from ingestctl.db.transactions import Database

MAX_JOBS = 100
"""Jobs named behind bad artifacts."""

KEYS_A_QUESTION = 1000
_BAD = tuple(verdict.value for verdict in BROKEN)
_SUCCEEDED = stored_words(Status.SUCCEEDED)
# Older workers left attempts without finished_at. The index ix_ingest_runs_ended is on this expression
# under this condition: both must stay as they are.
ENDED_AT = sa.func.coalesce(job_runs.c.finished_at, job_runs.c.updated_at)
HAS_ENDED = job_runs.c.status.in_([literal(word) for word in ("failed", *_SUCCEEDED)])


class Facts:
    """The escalation rules' part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def attempts_between(
        self, since: datetime, until: datetime, *, batch: int = 5000
    ) -> Iterator[FailureFact]:
        # Interrupted attempts (canceled) are neither failures nor successes. A worker that died and was
        # not replaced has a lease that ran out, and no end.
        ended = self._pages(ENDED_AT, HAS_ENDED, since, until, batch)
        is_lost = sa.and_(job_runs.c.status == literal("running"), job_runs.c.lease_expires_at <= now())
        lost = self._pages(job_runs.c.lease_expires_at, is_lost, since, until, batch)
        return heapq.merge(ended, lost, key=lambda fact: fact.at)

    def _pages(
        self, moment: Any, condition: sa.ColumnElement[bool], since: datetime, until: datetime, batch: int
    ) -> Iterator[FailureFact]:
        columns = (
            job_runs.c.id,
            job_runs.c.job_id,
            job_runs.c.status,
            job_runs.c.error_code,
            job_runs.c.error_message,
            job_runs.c.lease_owner,
            videos.c.source_type,
            videos.c.source_uri,
            sa.type_coerce(moment, job_runs.c.finished_at.type).label("ended_at"),
        )
        joined = job_runs.join(jobs, jobs.c.id == job_runs.c.job_id).join(
            videos, videos.c.id == jobs.c.video_id
        )
        question = sa.select(*columns).select_from(joined).where(IS_INGEST, condition)
        question = question.where(moment < until).order_by(moment, job_runs.c.id).limit(batch)
        page = question.where(moment >= since)
        while True:
            rows = self._db.read(lambda c, q=page: c.execute(q).mappings().all())  # type: ignore[misc]
            for row in rows:
                yield _fact(row)
            if len(rows) < batch:
                return
            last, run_id = rows[-1]["ended_at"], rows[-1]["id"]
            place = sa.tuple_(moment, job_runs.c.id)
            page = question.where(
                place
                > sa.tuple_(sa.literal(last, job_runs.c.finished_at.type), sa.literal(run_id, sa.Text()))
            )

    def bad_checks_between(self, since: datetime, until: datetime) -> tuple[int, int, Sequence[str]]:
        table = ingest_artifacts
        window = (
            table.c.verified_at >= since,
            table.c.verified_at < until,
            table.c.state == ArtifactState.STORED.value,
        )
        is_bad = table.c.verdict.in_(_BAD)
        count = sa.select(sa.func.count(), sa.func.count().filter(is_bad)).where(*window)
        checked, bad = self._db.read(lambda c: c.execute(count).one())
        named = sa.select(table.c.job_id).distinct().where(*window, is_bad)
        named = named.order_by(table.c.job_id).limit(MAX_JOBS)
        found = self._db.read(lambda c: c.scalars(named).all()) if bad else []
        cleaned = self._cleaned_up(since, until)
        if not cleaned:
            return int(checked), int(bad), list(found)
        still = self._verdicts_of(cleaned, window)
        unrowed = [ref for ref in cleaned if ref not in still]
        more = [ref for ref in cleaned if still.get(ref) not in _BAD]
        behind = sorted({*found, *(cleaned[ref] for ref in more)})[:MAX_JOBS]
        return int(checked) + len(unrowed), int(bad) + len(more), behind

    def _cleaned_up(self, since: datetime, until: datetime) -> dict[ObjectRef, str]:
        """Objects that cleanups of that time found corrupt or partial, with their jobs: their rows are
        forgotten, or tell of the object that came after."""
        table = ingest_incidents
        when = (table.c.opened_at >= since, table.c.opened_at < until)
        question = sa.select(table.c.job_id, table.c.details).where(*when, table.c.kind == "cleanup")
        question = question.order_by(table.c.opened_at, table.c.id)
        found: dict[ObjectRef, str] = {}
        for row in self._db.read(lambda c: c.execute(question).mappings().all()):
            for ref in _condemned(row["details"]):
                found.setdefault(ref, row["job_id"] or "")
        return found

    def _verdicts_of(
        self, refs: Iterable[ObjectRef], window: Iterable[sa.ColumnElement[bool]]
    ) -> dict[ObjectRef, str | None]:
        """The verdicts of those objects whose rows were counted in the window already."""
        table, counted = ingest_artifacts, tuple(window)
        found: dict[ObjectRef, str | None] = {}
        by_bucket: dict[str, list[str]] = {}
        for ref in refs:
            by_bucket.setdefault(ref.bucket, []).append(ref.key)
        for bucket, keys in by_bucket.items():
            for start in range(0, len(keys), KEYS_A_QUESTION):
                some = keys[start : start + KEYS_A_QUESTION]
                question = sa.select(table.c.key, table.c.verdict).where(
                    *counted, table.c.bucket == bucket, table.c.key.in_(some)
                )
                rows = self._db.read(lambda c, q=question: c.execute(q).all())  # type: ignore[misc]
                found |= {ObjectRef(bucket, row.key): row.verdict for row in rows}
        return found

    def check_writable(self) -> None:
        # A statement that changes no row still needs the right to, a primary, and a file that is not
        # read-only.
        nothing = jobs.update().where(sa.false()).values(updated_at=now())
        self._db.write(lambda c: c.execute(nothing))


def _condemned(details: Any) -> Iterator[ObjectRef]:
    """The objects that the plan of a cleanup calls corrupt or partial; none where it cannot be read."""
    plan = details.get("plan") if isinstance(details, dict) else None
    items = plan.get("items") if isinstance(plan, dict) else None
    for item in items if isinstance(items, list) else ():
        ref = item.get("ref") if isinstance(item, dict) else None
        if isinstance(ref, dict) and item.get("etag") and item.get("verdict") in _BAD:
            yield ObjectRef(str(ref.get("bucket")), str(ref.get("key")))


def _fact(row: RowMapping) -> FailureFact:
    return FailureFact(
        job_id=row["job_id"],
        run_id=row["id"],
        source=source_label(row["source_type"], row["source_uri"]),
        at=row["ended_at"],
        cause=_cause(row),
        owner=row["lease_owner"],
    )


def _cause(row: RowMapping) -> str | None:
    if row["status"] == "running":
        return "worker_crashed"
    if row["status"] in _SUCCEEDED:
        return None
    code = row["error_code"]
    return code if code in CAUSES else diagnose(row["error_message"] or code or "").cause


def source_label(source_type: str, uri: str) -> str:
    """The family a source is counted with: its host without the usual sub-domains, or ``uploads``."""
    if source_type == SourceKind.UPLOAD.value:
        return "uploads"
    if source_type == SourceKind.YOUTUBE.value:
        return "youtube.com"
    try:
        host = urlsplit(uri).hostname or "unknown"
    except ValueError:
        return "unknown"
    for sub in ("www.", "m.", "music."):
        host = host.removeprefix(sub)
    return host
