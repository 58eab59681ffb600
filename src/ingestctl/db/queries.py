# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""Questions: jobs by name, by filter, and everything about one job."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import JobFilter, JobRow, Page
from ingestctl.db.one_job import AFTER_ALL, JobQuestions
from ingestctl.db.records import clean_text, read_status
from ingestctl.db.rows import IS_INGEST, attempt_is_live, job_of, status_is, video_of
from ingestctl.db.tables import job_runs, jobs, videos
from ingestctl.domain.errors import InvalidPayload, UsageError
from ingestctl.domain.job import Job, Status, Video
from ingestctl.domain.source import SourceKind, normalize_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import RowMapping

    from ingestctl.db.transactions import Database
    from ingestctl.domain.source import Source


class Queries(JobQuestions):
    """The reading part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    @property
    def dialect(self) -> str:
        return self._db.dialect

    @property
    def url(self) -> str:
        return self._db.url

    def _ask(self, sql: str, values: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
        return self._db.read(lambda c: [dict(row) for row in c.exec_driver_sql(sql, dict(values)).mappings()])

    def video_of_source(self, source: Source) -> Video | None:
        same = sa.and_(videos.c.source_type == source.kind.value, videos.c.source_uri == source.uri)
        row = self._one(sa.select(videos).where(same))
        return video_of(row, videos) if row else None

    def _id(self) -> sa.ColumnElement[str]:
        return jobs.c.id.collate("C") if self._db.dialect == "postgresql" else jobs.c.id

    def _has_prefix(self, prefix: str) -> sa.ColumnElement[bool]:
        column = self._id()
        return sa.and_(column >= prefix, column < prefix + AFTER_ALL)

    def find(self, where: JobFilter, *, limit: int = 50, after: str | None = None) -> Page:
        question = self._listing(where).order_by(jobs.c.updated_at.desc(), jobs.c.id.desc())
        if after is not None:
            moment, job_id = _cursor(after)
            place = sa.tuple_(jobs.c.updated_at, jobs.c.id)
            question = question.where(
                place
                < sa.tuple_(sa.literal(moment, jobs.c.updated_at.type), sa.literal(job_id, jobs.c.id.type))
            )
        rows = [job_row(row) for row in self._all(question.limit(limit + 1))]
        page = rows[:limit]
        return Page(page, _mark(page[-1].job) if page and len(rows) > limit else None)

    def scan(self, where: JobFilter, *, batch: int = 1000) -> Iterator[JobRow]:
        after: str | None = None
        while True:
            question = self._listing(where).order_by(self._id()).limit(batch)
            if after is not None:
                question = question.where(self._id() > after)
            rows = self._all(question)
            for row in rows:
                yield job_row(row)
            if len(rows) < batch:
                return
            after = rows[-1][jobs.c.id]

    def counts(self) -> Mapping[Status, int]:
        question = (
            sa.select(jobs.c.status, sa.func.count().label("n")).where(IS_INGEST).group_by(jobs.c.status)
        )
        totals = dict.fromkeys(Status, 0)
        for row in self._all(question):
            totals[read_status(row["status"])] += row["n"]
        return totals

    def _listing(self, where: JobFilter) -> sa.Select[Any]:
        newest = job_runs.alias("newest")
        last = sa.select(sa.func.max(newest.c.attempt)).where(newest.c.job_id == jobs.c.id).scalar_subquery()
        joined = jobs.join(videos, videos.c.id == jobs.c.video_id).outerjoin(
            job_runs, sa.and_(job_runs.c.job_id == jobs.c.id, job_runs.c.attempt == last)
        )
        columns = [
            *jobs.c,
            videos.c.source_type,
            videos.c.source_uri,
            videos.c.title,
            job_runs.c.attempt,
            job_runs.c.error_code,
            sa.func.coalesce(attempt_is_live(), sa.false()).label("lease_live"),
        ]
        return sa.select(*columns).select_from(joined).where(IS_INGEST, *self._conditions(where))

    def _conditions(self, where: JobFilter) -> Iterator[sa.ColumnElement[bool]]:
        if where.statuses:
            yield status_is(*sorted(where.statuses))
        if where.phases:
            yield jobs.c.ingestion_phase.in_(sorted(where.phases))
        if where.causes:
            yield job_runs.c.error_code.in_(sorted(where.causes))
        if where.source is not None:
            yield _source_is(where.source)
        if where.stuck:
            runs = job_runs.alias("any_run")
            live = sa.exists().where(runs.c.job_id == jobs.c.id, attempt_is_live(runs=runs))
            yield sa.and_(status_is(Status.RUNNING), ~live.correlate(jobs))
        yield from _between(where.since, where.until)
        if where.id_prefix is not None:
            yield self._has_prefix(where.id_prefix)
        if where.video_id is not None:
            yield jobs.c.video_id == where.video_id
        if where.url is not None:
            yield videos.c.source_uri.in_(_forms(where.url))

    def _one(self, question: sa.Select[Any]) -> RowMapping | None:
        return self._db.read(lambda c: c.execute(question).mappings().one_or_none())

    def _all(self, question: sa.Select[Any]) -> Sequence[RowMapping]:
        return self._db.read(lambda c: c.execute(question).mappings().all())


def _between(since: datetime | None, until: datetime | None) -> Iterator[sa.ColumnElement[bool]]:
    if since is not None:
        yield jobs.c.updated_at >= since
    if until is not None:
        yield jobs.c.updated_at <= until


def _forms(url: str) -> list[str]:
    given = url.strip()
    try:
        return sorted({given, normalize_url(given)})
    except InvalidPayload:
        return [given]


def _source_is(word: str) -> sa.ColumnElement[bool]:
    source = clean_text(word.strip().lower())  # a pattern made of it is no column's value, cleaned as such
    if source in ("uploads", SourceKind.UPLOAD.value):
        return videos.c.source_type == SourceKind.UPLOAD.value
    if source in set(SourceKind):
        return videos.c.source_type == source
    uri = sa.func.lower(videos.c.source_uri)
    hosts = [source, *(f"{sub}.{source}" for sub in ("www", "m", "music"))]
    starts = [f"{scheme}://{host}" for scheme in ("http", "https") for host in hosts]
    follows = [uri.startswith(start + end, autoescape=True) for start in starts for end in "/:?"]
    return sa.or_(uri.in_(starts), *follows)


def job_row(row: RowMapping) -> JobRow:
    """A line of a job list from a row of ``_listing``."""
    return JobRow(
        job=job_of(row),
        source_type=row[videos.c.source_type],
        source_uri=row[videos.c.source_uri],
        title=row[videos.c.title],
        attempt=row[job_runs.c.attempt],
        error_code=row[job_runs.c.error_code],
        lease_live=bool(row["lease_live"]),
    )


def _mark(job: Job) -> str:
    place = json.dumps([job.updated_at.isoformat(), job.id])
    return base64.urlsafe_b64encode(place.encode()).decode().rstrip("=")


def _cursor(mark: str) -> tuple[datetime, str]:
    try:
        place = json.loads(base64.urlsafe_b64decode(mark + "=" * (-len(mark) % 4)))
        moment = datetime.fromisoformat(place[0])
        if moment.tzinfo:
            return moment.astimezone(UTC), str(place[1])
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        pass
    raise UsageError(f"{mark[:80]!r} is no page mark", hint="Pass the `next` of the page before, unchanged.")
