# ruff: noqa: D102 - what each method promises is written once, in AuditStore (operator.py)
"""What a fleet check asks of the database. See :class:`ingestctl.db.operator.AuditStore`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from ingestctl.db.queries import Queries, job_row
from ingestctl.db.records import artifact_of
from ingestctl.db.rows import literal, status_is, video_of
from ingestctl.db.tables import ingest_artifacts, jobs, videos
from ingestctl.db.types import Text, now
from ingestctl.domain.artifact import ArtifactState, Kind, ObjectRef
from ingestctl.domain.errors import InvalidPayload
from ingestctl.domain.job import Status
from ingestctl.domain.source import normalize_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime

    from ingestctl.db.base import JobFilter, JobRow
    from ingestctl.db.operator import Checked
    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.job import Video

REFS_A_QUESTION = 1000
"""Object names in one IN list; SQLite takes at most 32,766 parameters."""


class Audits(Queries):
    """The auditing part of the job store."""

    def artifact_buckets(self) -> Sequence[str]:
        """One short index probe per bucket, not a scan of the table."""
        found: list[str] = []
        column = self._bytewise(ingest_artifacts.c.bucket)
        while True:
            question = sa.select(ingest_artifacts.c.bucket).order_by(column).limit(1)
            if found:
                question = question.where(column > found[-1])
            rows = self._all(question)
            if not rows:
                return found
            found.append(rows[0]["bucket"])

    def scan_artifacts(self, bucket: str, *, start_after: str = "", batch: int = 1000) -> Iterator[Artifact]:
        table = ingest_artifacts
        place, key = self._bytewise(table.c.bucket), self._bytewise(table.c.key)
        after = start_after
        while True:
            question = sa.select(table).where(place == bucket, key > after).order_by(place, key).limit(batch)
            rows = self._all(question)
            for row in rows:
                yield artifact_of(row)
            if len(rows) < batch:
                return
            after = rows[-1]["key"]

    def scan_unrecorded(self, where: JobFilter, *, batch: int = 1000) -> Iterator[JobRow]:
        after: str | None = None
        lacking = sa.or_(*(~self._has_stored(kind) for kind in Kind))
        while True:
            question = self._listing(where).where(status_is(Status.SUCCEEDED), lacking)
            if after is not None:
                question = question.where(self._id() > after)
            rows = self._all(question.order_by(self._id()).limit(batch))
            for row in rows:
                yield job_row(row)
            if len(rows) < batch:
                return
            after = rows[-1][jobs.c.id]

    @staticmethod
    def _has_stored(kind: Kind) -> sa.ColumnElement[bool]:
        table = ingest_artifacts.alias(f"{kind}_row")
        same = (table.c.video_id == jobs.c.video_id, table.c.kind == kind.value)
        return sa.exists().where(*same, table.c.state == ArtifactState.STORED.value).correlate(jobs)

    def scan_least_verified(
        self, where: JobFilter, *, verified_before: datetime, batch: int = 200
    ) -> Iterator[JobRow]:
        """Never verified first, then the longest ago; jobs without artifact rows, of which no check can be
        recorded, come last, so that they never keep the others from being looked at.

        Pages follow the artifact rows: a row speaks for its video if no other row of it comes before.
        """
        yield from self._due(where, None, batch)
        yield from self._due(where, verified_before, batch)
        yield from self.scan_unrecorded(where, batch=batch)

    def _due(self, where: JobFilter, before: datetime | None, batch: int) -> Iterator[JobRow]:
        row, other = ingest_artifacts, ingest_artifacts.alias("other")
        stored = literal(ArtifactState.STORED.value)
        place, elsewhere = ((self._bytewise(t.c.bucket), self._bytewise(t.c.key)) for t in (row, other))
        same = sa.and_(other.c.video_id == row.c.video_id, other.c.state == stored)
        earlier = sa.tuple_(*elsewhere) < sa.tuple_(*place)
        if before is None:
            due: sa.ColumnElement[bool] = row.c.verified_at.is_(None)
            first = sa.and_(other.c.verified_at.is_(None), earlier)
        else:
            due = row.c.verified_at < before
            tied = sa.and_(other.c.verified_at == row.c.verified_at, earlier)
            first = sa.or_(other.c.verified_at.is_(None), other.c.verified_at < row.c.verified_at, tied)
        order = (*place, self._id()) if before is None else (row.c.verified_at, *place, self._id())
        spoken_for = sa.exists().where(same, first).correlate(row)
        marks = (row.c.bucket.label("a_bucket"), row.c.key.label("a_key"), row.c.verified_at.label("a_at"))
        question = (
            self._listing(where)
            .add_columns(*marks)
            .join(row, row.c.video_id == jobs.c.video_id)
            .where(status_is(Status.SUCCEEDED), row.c.state == stored, due, ~spoken_for)
            .order_by(*order)
            .limit(batch)
        )
        page = question
        while True:
            rows = self._all(page)
            for found in rows:
                yield job_row(found)
            if len(rows) < batch:
                return
            last = rows[-1]
            mark = [last["a_bucket"], last["a_key"], last[jobs.c.id]]
            if before is not None:
                mark.insert(0, last["a_at"])
            bound = [sa.literal(value, column.type) for value, column in zip(mark, order, strict=True)]
            page = question.where(sa.tuple_(*order) > sa.tuple_(*bound))

    def artifacts_at(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Artifact]:
        table = ingest_artifacts
        rows = self._at(sa.select(table), table.c.bucket, table.c.key, refs)
        return {artifact.ref: artifact for artifact in map(artifact_of, rows)}

    def videos_of_keys(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Sequence[str]]:
        legacy = (videos.c.storage_bucket, videos.c.storage_key)
        canonical = (self._in_storage_ref("bucket"), self._in_storage_ref("key"))
        found: dict[ObjectRef, set[str]] = {}
        for bucket, key in (legacy, canonical):
            question = sa.select(videos.c.id, bucket.label("bucket"), key.label("key"))
            for row in self._at(question, bucket, key, refs):
                found.setdefault(ObjectRef(row["bucket"], row["key"]), set()).add(row["id"])
        return {ref: sorted(ids) for ref, ids in found.items()}

    def videos_of_payloads(self, refs: Sequence[ObjectRef]) -> Mapping[ObjectRef, Sequence[str]]:
        found: dict[ObjectRef, set[str]] = {ref: set() for ref in refs}
        for kind in Kind:
            bucket, key = (self._in_payload(kind, name) for name in ("bucket", "object_key"))
            question = sa.select(jobs.c.video_id, bucket.label("bucket"), key.label("key"))
            for start in range(0, len(refs), REFS_A_QUESTION):
                some = refs[start : start + REFS_A_QUESTION]
                for row in self._all(question.where(key.in_({ref.key for ref in some}))):
                    for ref in some:
                        if ref.key == row["key"] and row["bucket"] in {None, ref.bucket}:
                            found[ref].add(row["video_id"])
        return {ref: sorted(ids) for ref, ids in found.items() if ids}

    def _in_payload(self, kind: Kind, name: str) -> sa.ColumnElement[str]:
        """A member of an artifact's place in jobs.payload as text; NULL where there is none.

        Its key is what ix_ingest_jobs_video_key and _audio_key are on: all must stay as they are.
        """
        if self._db.dialect == "postgresql":
            return sa.literal_column(f"(jobs.payload #>> '{{artifacts,{kind.value},{name}}}')", Text())
        inside = f"json_extract(jobs.payload, '$.artifacts.{kind.value}.{name}')"
        return sa.literal_column(f"CASE WHEN json_valid(jobs.payload) THEN {inside} END", Text())

    def _in_storage_ref(self, name: str) -> sa.ColumnElement[str]:
        """A member of videos.storage_ref as text; NULL where there is none or the column holds no object.

        Its key is what ix_ingest_videos_pointer is on: both must stay as they are.
        """
        column = "videos.storage_ref"
        if self._db.dialect == "postgresql":
            return sa.literal_column(f"({column} ->> '{name}')", Text())
        inside = f"json_extract({column}, '$.{name}')"
        return sa.literal_column(f"CASE WHEN json_valid({column}) THEN {inside} END", Text())

    def _at(self, question: sa.Select[Any], bucket: Any, key: Any, refs: Sequence[ObjectRef]) -> list[Any]:
        """One question a bucket, so that the key column's index can serve it."""
        rows: list[Any] = []
        by_bucket: dict[str, list[str]] = {}
        for ref in refs:
            by_bucket.setdefault(ref.bucket, []).append(ref.key)
        for name, keys in by_bucket.items():
            for start in range(0, len(keys), REFS_A_QUESTION):
                some = keys[start : start + REFS_A_QUESTION]
                rows += self._all(question.where(bucket == name, key.in_(some)))
        return rows

    def lacks_metadata(self, video_id: str) -> bool:
        empty = sa.cast(videos.c.metadata, sa.Text) == "null"
        question = sa.select(sa.or_(videos.c.metadata.is_(None), empty)).where(videos.c.id == video_id)
        return bool(self._db.read(lambda c: c.scalar(question)))

    def twins(self, video: Video) -> Sequence[Video]:
        table, mine = ingest_artifacts, ingest_artifacts.alias("mine")
        digests = sa.select(mine.c.sha256).where(
            mine.c.video_id == video.id, mine.c.kind == Kind.VIDEO.value, mine.c.sha256.is_not(None)
        )
        same_bytes = sa.select(table.c.video_id).where(
            table.c.sha256.in_(digests), table.c.kind == Kind.VIDEO.value
        )
        same_source = videos.c.source_uri.in_(_spellings(video.source_uri))
        question = sa.select(videos).where(
            videos.c.id != video.id, sa.or_(same_source, videos.c.id.in_(same_bytes))
        )
        return [video_of(row, videos) for row in self._all(question.order_by(videos.c.id))]

    def record_checks(self, checks: Sequence[Checked]) -> None:
        table = ingest_artifacts
        groups: dict[tuple[str, str, str], list[str]] = {}
        for check in checks:
            group = (check.ref.bucket, check.verdict.value, check.level.value)
            groups.setdefault(group, []).append(check.ref.key)
        for (bucket, verdict, level), keys in groups.items():
            for start in range(0, len(keys), REFS_A_QUESTION):
                some = keys[start : start + REFS_A_QUESTION]
                change = (
                    table.update()
                    .where(table.c.bucket == bucket, table.c.key.in_(some))
                    .values(verified_at=now(), verdict=verdict, verified_level=level)
                )
                self._db.write(lambda c, change=change: c.execute(change) and None)  # type: ignore[misc]

    def _bytewise(self, column: sa.ColumnElement[str]) -> sa.ColumnElement[str]:
        """The column in UTF-8 byte order, which is the order of listings."""
        return column.collate("C") if self._db.dialect == "postgresql" else column


def _spellings(uri: str) -> list[str]:
    """The forms one source's address may have: with or without www, slash, and either scheme."""
    try:
        normal = normalize_url(uri)
    except InvalidPayload:
        return [uri]
    _, _, rest = normal.partition("://")
    host, slash, path = rest.partition("/")
    bare = host.removeprefix("www.")
    forms = {f"{s}://{h}{slash}{path}" for s in ("http", "https") for h in (bare, f"www.{bare}")}
    return sorted({uri, *forms, *(f"{form}/" for form in forms if "?" not in form)})
