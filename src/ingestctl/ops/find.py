"""``jobs``: from an operator's words to one page of jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from ingestctl.db.base import JobFilter
from ingestctl.domain.causes import CAUSES
from ingestctl.domain.errors import UsageError
from ingestctl.domain.job import Phase, parse_status

if TYPE_CHECKING:
    from ingestctl.db.base import JobStore, Page

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


@dataclass(frozen=True, slots=True)
class JobQuery:
    """A filter as it was typed."""

    text: str | None = None
    """An id prefix, a video id, or a URL."""
    statuses: tuple[str, ...] = ()
    phases: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    source: str | None = None
    since: str | None = None
    until: str | None = None
    stuck: bool = False


def find_jobs(store: JobStore, query: JobQuery, *, limit: int, after: str | None = None) -> Page:
    """One page of the jobs that match. Raises UsageError naming the word that makes no sense."""
    now = store.now() if query.since or query.until else datetime.now(UTC)
    where = job_filter(query, now)
    if query.text and "://" not in query.text:
        by_video = replace(where, id_prefix=None, video_id=query.text)
        page = store.find(by_video, limit=limit, after=after)
        if page.jobs:
            return page
    return store.find(where, limit=limit, after=after)


def job_filter(query: JobQuery, now: datetime) -> JobFilter:
    """The store's filter. Words are checked here, with the accepted ones named."""
    is_url = bool(query.text and "://" in query.text)
    try:
        statuses = frozenset(parse_status(word) for words in query.statuses for word in words.split(","))
    except ValueError as error:
        raise UsageError(f"--status: {error}") from None
    return JobFilter(
        statuses=statuses,
        phases=_known("--phase", query.phases, [p.value for p in Phase]),
        causes=_known("--cause", query.causes, list(CAUSES)),
        source=query.source,
        since=moment("--since", query.since, now),
        until=moment("--until", query.until, now),
        stuck=query.stuck,
        id_prefix=None if is_url else query.text,
        url=query.text if is_url else None,
    )


def _known(option: str, given: tuple[str, ...], accepted: list[str]) -> frozenset[str]:
    words = frozenset(word.strip().lower() for item in given for word in item.split(","))
    for word in words:
        if word not in accepted:
            raise UsageError(f"{option}: {word!r} is not one of: {', '.join(accepted)}")
    return words


def moment(option: str, text: str | None, now: datetime) -> datetime | None:
    """``2h`` or ``7d`` ago by the database's clock, or a date or time (UTC unless it says otherwise)."""
    if text is None:
        return None
    try:
        if match := re.fullmatch(r"([0-9]{1,6})\s*([smhdw])", text.strip().lower()):
            return now - timedelta(**{_UNITS[match[2]]: int(match[1])})
        at = datetime.fromisoformat(text.strip())
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):  # no time at all, or one before the year 1 or after 9999
        raise UsageError(
            f"{option} {text[:80]!r} is no time", hint="Write an age (30m, 2h, 7d) or a date (2026-11-01)."
        ) from None
