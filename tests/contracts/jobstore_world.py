"""A job store under test, and a second way into its database to look behind it."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.base import Claim, NewJob
from ingestctl.db.engine import create_engine, open_store
from ingestctl.domain.source import Source, source_of_url

if TYPE_CHECKING:
    from ingestctl.db.base import JobStore

LEASE_S = 60.0
_numbers = itertools.count(1)


def source(number: int | None = None) -> Source:
    return source_of_url(f"https://media.example/{next(_numbers) if number is None else number}.mp4")


def new_job(job_id: str, video_id: str = "", *, of: Source | None = None, **more: Any) -> NewJob:
    return NewJob(of or source(), video_id or f"v-{job_id}", job_id, {"version": "2.0"}, **more)


@dataclass
class World:
    """The store at ``url``; ``sql`` goes around it."""

    url: str
    store: JobStore = field(init=False)

    def __post_init__(self) -> None:
        self.store = open_store(self.url)
        self._engine = create_engine(self.url, timeout_s=10, pooled=False)

    def sql(self, statement: str, **values: Any) -> list[Any]:
        with self._engine.begin() as connection:
            result = connection.execute(sa.text(statement), values)
            return list(result.mappings()) if result.returns_rows else []

    def submit(self, job_id: str, **more: Any) -> str:
        return self.store.submit(new_job(job_id, **more)).job.id

    def claim(
        self, job_id: str, *, lease_s: float = LEASE_S, owner: str = "me", stale_s: float = 3600
    ) -> Claim:
        return self.store.claim(job_id, owner=owner, lease_s=lease_s, stale_after_s=stale_s)

    def next(self, *, owner: str = "me", max_attempts: int = 3, **more: Any) -> Claim | None:
        terms = {"owner": owner, "lease_s": LEASE_S, "stale_after_s": 3600.0, "max_attempts": max_attempts}
        return self.store.claim_next(**{**terms, **more})

    def expired(self, job_id: str) -> Claim:
        """A claim whose lease has run out."""
        claim = self.claim(job_id, lease_s=0.01, owner="zombie")
        time.sleep(0.03)
        return claim

    def events(self, job_id: str) -> list[str]:
        return [event.event_type.removeprefix("ingestion.") for event in self.store.events(job_id)]

    def everything(self) -> dict[str, list[Any]]:
        tables = ("videos", "jobs", "job_runs", "job_events", "ingest_artifacts")
        return {t: sorted(map(str, self.sql(f"SELECT * FROM {t}"))) for t in tables}

    def close(self) -> None:
        self.store.close()
        self._engine.dispose()
