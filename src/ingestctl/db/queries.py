# ruff: noqa: D102 - what each method promises is written once, in JobStore (base.py)
"""Questions: jobs by name, by filter, and everything about one job."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import JobFilter, JobRow, Page
from ingestctl.db.rows import (
    IS_INGEST,
    artifact_of,
    attempt_is_live,
    event_of,
    job_of,
    read_status,
    run_of,
    status_is,
    video_of,
)
from ingestctl.db.tables import ingest_artifacts, job_events, job_runs, jobs, videos
from ingestctl.db.types import clean_text
from ingestctl.domain.errors import Conflict, InvalidPayload, NotFound, UsageError
from ingestctl.domain.job import INGEST, Event, Job, Run, Status, Video
from ingestctl.domain.source import SourceKind, normalize_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from sqlalchemy.engine import RowMapping

    from ingestctl.db.transactions import Database
    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.source import Source

MAX_MATCHES = 10
_AFTER_ALL = "\U0010ffff"
"""Sorts behind every character, in code point order and in the byte order of UTF-8."""


class Queries:
    """The reading part of the job store."""

    def __init__(self, database: Database) -> None:
        self._db = database

    def job(self, job_id: str) -> Job | None:
        row = self._one(sa.select(jobs).where(jobs.c.id == job_id))
        return job_of(row) if row else None

    def video(self, video_id: str) -> Video | None:
        row = self._one(sa.select(videos).where(videos.c.id == video_id))
        return video_of(row, videos) if row else None

    def video_of_source(self, source: Source) -> Video | None:
        same = sa.and_(videos.c.source_type == source.kind.value, videos.c.source_uri == source.uri)
        row = self._one(sa.select(videos).where(same))
        return video_of(row, videos) if row else None

    def resolve(self, name: str) -> Job:
        wanted = name.strip()
        if not wanted:
            raise NotFound(f"{name!r} names no job")
        exact = self.job(wanted) or (self.job(name) if name != wanted else None)
        rows = [exact] if exact else [job_of(row) for row in self._all(self._by_prefix(wanted))]
        found = [job for job in rows if job.type == INGEST]
        if len(found) == 1:
            return found[0]
        if len(found) > 1:
            ids = ", ".join(job.id for job in found[:MAX_MATCHES])
            more = ", \u2026" if len(found) > MAX_MATCHES else ""
            raise Conflict(
                f"{wanted!r} is the beginning of several job ids: {ids}{more}", hint="Type more of it."
            )
        if rows:
            raise Conflict(
                f"job {rows[0].id} is of type {rows[0].type!r}, not {INGEST!r}",
                hint="Jobs of other types belong to other services; this program never touches them.",
                job_id=rows[0].id,
            )
        raise NotFound(f"no job has the id (or an id beginning with) {wanted!r}")

    def _by_prefix(self, prefix: str) -> sa.Select[Any]:
        # Ingest jobs first, so that a crowd of others under the same prefix does not hide them.
        order = (sa.case((IS_INGEST, 0), else_=1), self._id())
        return sa.select(jobs).where(self._has_prefix(prefix)).order_by(*order).limit(MAX_MATCHES + 1)

    def _id(self) -> sa.ColumnElement[str]:
        return jobs.c.id.collate("C") if self._db.dialect == "postgresql" else jobs.c.id

    def _has_prefix(self, prefix: str) -> sa.ColumnElement[bool]:
        column = self._id()
        return sa.and_(column >= prefix, column < prefix + _AFTER_ALL)

    def runs(self, job_id: str) -> Sequence[Run]:
        live = attempt_is_live().label("lease_live")
        question = sa.select(job_runs, live).where(job_runs.c.job_id == job_id).order_by(job_runs.c.attempt)
        return [run_of(row) for row in self._all(question)]

    def events(self, job_id: str, *, after: str | None = None, limit: int | None = None) -> Sequence[Event]:
        place = sa.tuple_(job_events.c.created_at, job_events.c.id)
        question = sa.select(job_events).where(job_events.c.job_id == job_id)
        if after is not None:
            seen = job_events.alias("seen")
            last = sa.select(seen.c.created_at, seen.c.id).where(seen.c.id == after, seen.c.job_id == job_id)
            question = question.where(place > last.scalar_subquery())
        question = question.order_by(job_events.c.created_at, job_events.c.id)
        return [event_of(row) for row in self._all(question if limit is None else question.limit(limit))]

    def artifacts(self, video_id: str) -> Sequence[Artifact]:
        table = ingest_artifacts
        question = sa.select(table).where(table.c.video_id == video_id).order_by(table.c.bucket, table.c.key)
        return [artifact_of(row) for row in self._all(question)]

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
        moment, job_id = datetime.fromisoformat(place[0]), str(place[1])
        if moment.tzinfo is None:
            raise ValueError("a time without its zone")
        return moment.astimezone(UTC), job_id
    except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
        raise UsageError(
            f"{mark[:80]!r} is no page mark", hint="Pass the `next` of the page before, unchanged."
        ) from None
