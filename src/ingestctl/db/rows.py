"""Joined rows to the domain's words, and the conditions that several questions share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db import records
from ingestctl.db.one_job import LEGACY_STALE_S
from ingestctl.db.tables import job_runs, jobs, videos
from ingestctl.db.types import now, now_plus
from ingestctl.domain.job import INGEST, Job, Run, Status, Video, stored_words

if TYPE_CHECKING:
    from sqlalchemy.engine import RowMapping

RUNNING = "running"
"""A live attempt's ``job_runs.status``."""


def literal(word: str) -> sa.ColumnElement[str]:
    """A constant in the statement's text, so that partial indexes with the same constant can serve it."""
    return sa.literal_column(f"'{word}'", sa.Text())


IS_INGEST = jobs.c.type == literal(INGEST)


def status_is(*statuses: Status) -> sa.ColumnElement[bool]:
    """The job has one of these statuses, in either vocabulary."""
    return jobs.c.status.in_([literal(word) for status in statuses for word in stored_words(status)])


def attempt_is_live(
    stale_after_s: float | sa.ColumnElement[float] = LEGACY_STALE_S, *, runs: sa.FromClause = job_runs
) -> sa.ColumnElement[bool]:
    """The attempt is running and its lease has not expired (or, without a lease, it was updated lately)."""
    lease = runs.c.lease_expires_at
    fresh = sa.or_(lease > now(), sa.and_(lease.is_(None), _touched(runs) > now_plus(-stale_after_s)))
    return sa.and_(runs.c.status == literal(RUNNING), fresh)


def attempt_is_dead(
    stale_after_s: float | sa.ColumnElement[float] = LEGACY_STALE_S,
) -> sa.ColumnElement[bool]:
    """The attempt is running by name only."""
    lease = job_runs.c.lease_expires_at
    stale = sa.or_(lease <= now(), sa.and_(lease.is_(None), _touched(job_runs) <= now_plus(-stale_after_s)))
    return sa.and_(job_runs.c.status == literal(RUNNING), stale)


def _touched(runs: sa.FromClause) -> sa.ColumnElement[Any]:
    return sa.func.coalesce(runs.c.updated_at, runs.c.started_at, runs.c.created_at)


def _columns(row: RowMapping, table: sa.FromClause) -> dict[str, Any]:
    """The columns of one of the tables that a row was joined of."""
    return {column.key: row[column] for column in table.c}


def job_of(row: RowMapping) -> Job:
    """A job from a row that holds all columns of ``jobs``."""
    return records.job_of(_columns(row, jobs))


def video_of(row: RowMapping, table: sa.FromClause = videos) -> Video:
    """A video from a row that holds all columns of ``videos`` (or of ``table``, an alias of it)."""
    return records.video_of(_columns(row, table))


def run_of(row: RowMapping) -> Run:
    """An attempt from a row of ``job_runs`` with ``lease_live`` beside."""
    return records.run_of({**_columns(row, job_runs), "lease_live": row["lease_live"]})
