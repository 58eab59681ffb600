"""``verify-artifacts --all --level exists``: storage's listing beside the database's rows.

Both come in the order of keys, a page at a time, and are joined as they come: one listing request
per 1,000 objects, no request per object, flat memory. What does not match is only a suspicion:
each is looked at by itself before anything is said of it, and nothing is said or recorded at all
when storage shows far less than the database expects.
"""

from __future__ import annotations

import itertools
import json
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from typing import IO, TYPE_CHECKING, TypeVar

from ingestctl.db.base import JobFilter
from ingestctl.db.operator import Checked
from ingestctl.domain.artifact import Artifact, ArtifactState, ObjectRef, Verdict
from ingestctl.domain.errors import BucketMissing, StorageRefused, StorageUnavailable
from ingestctl.domain.verification import Finding, Level, Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from ingestctl.db.operator import OperatorStore
    from ingestctl.domain.source import Buckets
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.verify import Verifier
    from ingestctl.storage.base import ObjectInfo, Storage

_T = TypeVar("_T")

PAGE = 1000
"""Objects in a page of a listing, and rows in a page of the database."""
THREADS = 8
LEAST_EXPECTED = 10
LEAST_SHARE = 0.5
"""Of at least ten stored objects, this share must be listed before anything is concluded."""
MAX_SUSPECTS = 20_000
"""Mismatches kept before they are looked at: enough to tell an outage from a loss."""
UPLOAD_AGE = timedelta(hours=1)
"""An unfinished upload may belong to a run that is still going; after this long it is reported."""
MAX_LISTED = 10_000
"""Bad findings kept for the report; the counts count all."""
_OURS = ("quarantine/", ".ingestctl/")
"""Prefixes of objects this program puts there itself, which no row names."""


Progress = Callable[[int], None]
"""Told now and then how many are done, from the thread that audits."""


@dataclass(frozen=True, slots=True)
class Bad:
    """One thing found wrong, or that could not be checked; ``job_id`` where the database knows one."""

    finding: Finding
    job_id: str | None = None
    video_id: str | None = None


@dataclass(slots=True)
class AuditReport:
    """What an audit came to. ``bad`` has the first 10,000 findings that are not intact."""

    level: Level
    counts: dict[Verdict, int] = field(default_factory=lambda: dict.fromkeys(Verdict, 0))
    """Artifact rows by verdict. Orphans, unfinished uploads and unrecorded jobs are counted by themselves."""
    bad: list[Bad] = field(default_factory=list)
    rows: int = 0
    """Artifact rows that were compared; those of jobs that are not done have no verdict."""
    objects: int = 0
    orphans: int = 0
    unfinished_uploads: int = 0
    unrecorded_jobs: int = 0
    listing_requests: int = 0
    """Pages of 1,000 objects that were listed."""
    upload_listing_requests: int = 0
    """Buckets that were asked for unfinished uploads."""
    database_pages: int = 0

    def add_row(self, bad: Bad) -> None:
        """Count what was found of an artifact row, and keep it if it is not intact."""
        self.counts[bad.finding.verdict] += 1
        if bad.finding.verdict is not Verdict.INTACT:
            self.keep(bad)

    def keep(self, bad: Bad) -> None:
        """Keep a finding that is not intact."""
        if len(self.bad) < MAX_LISTED:
            self.bad.append(bad)

    @property
    def checked(self) -> int:
        """Artifact rows with a verdict."""
        return sum(self.counts.values())

    @property
    def verdicts(self) -> set[Verdict]:
        """Every verdict that was found, of whatever."""
        beside = {
            Verdict.FOREIGN: self.orphans,
            Verdict.PARTIAL: self.unfinished_uploads + self.unrecorded_jobs,
        }
        return {verdict for counts in (self.counts, beside) for verdict, number in counts.items() if number}

    @property
    def not_listed(self) -> int:
        """Findings beyond those kept in ``bad``."""
        beside = self.orphans + self.unfinished_uploads + self.unrecorded_jobs
        return self.checked - self.counts[Verdict.INTACT] + beside - len(self.bad)


class FleetAudit:
    """Joins listings and rows of every bucket. ``progress`` is told the rows done."""

    def __init__(
        self,
        store: OperatorStore,
        storage: Storage,
        verifier: Verifier,
        buckets: Buckets,
        stop: Stop,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._storage = storage
        self._verifier = verifier
        self._buckets = buckets
        self._stop = stop
        self._progress = progress or (lambda _: None)

    def run(self) -> AuditReport:
        """Audit every bucket that rows name, and the two configured ones.

        Raises StorageUnavailable, with nothing recorded, when a bucket lists less than half of at
        least ten stored objects, or nothing at all where something is stored; and when storage refuses
        the listing or has no such bucket: it could not be checked, which is not "found bad".
        """
        try:
            return self._run()
        except (StorageRefused, BucketMissing) as error:
            raise StorageUnavailable(error.message, hint=error.hint, evidence=error.evidence) from error

    def _run(self) -> AuditReport:
        report = AuditReport(Level.EXISTS)
        with tempfile.TemporaryFile("w+", encoding="utf-8") as file:
            spool = _Spool(file)
            names = {*self._store.artifact_buckets(), self._buckets.video, self._buckets.audio}
            suspects = [self._join(bucket, report, spool) for bucket in sorted(names)]
            for suspicion in suspects:
                self._look_closer(suspicion, report, spool)
            self._uploads(sorted(names), report)
            self._unrecorded(report)
            self._record(spool)
        return report

    # --- the join

    def _join(self, bucket: str, report: AuditReport, spool: _Spool) -> _Suspicion:
        """One pass over one bucket. Intact rows go to the spool, everything else to the suspicion."""
        found = _Suspicion(bucket)
        rows = _ahead(self._store.scan_artifacts(bucket, batch=PAGE))
        objects = _ahead(self._storage.list_objects(bucket))
        row, thing = next(rows, None), next(objects, None)
        while row is not None or thing is not None:
            place = _order(row, thing)
            if place <= 0 and row is not None:
                found.count(row)
            if place == 0 and row is not None and thing is not None:
                self._pair(row, thing, found, spool, report)
            elif place < 0 and row is not None:
                other = found.objects_alone.pop(row.ref.key, None)
                if other is not None:  # the server lists in another order
                    self._pair(row, other, found, spool, report)
                else:
                    found.rows_alone[row.ref.key] = row
            elif thing is not None and not thing.ref.key.startswith(_OURS):
                alone = found.rows_alone.pop(thing.ref.key, None)
                if alone is not None:
                    self._pair(alone, thing, found, spool, report)
                else:
                    found.objects_alone[thing.ref.key] = thing
            found.objects += place >= 0
            row = next(rows, None) if place <= 0 else row
            thing = next(objects, None) if place >= 0 else thing
            if (found.rows + found.objects) % PAGE == 0:
                self._stop.check()
                self._progress(report.rows + found.rows)
            if found.suspects > MAX_SUSPECTS:
                self._look_closer(found, report, spool)
        found.refuse_if_too_few()
        report.rows += found.rows
        report.objects += found.objects
        report.listing_requests += max(1, -(-found.objects // PAGE))
        report.database_pages += found.rows // PAGE + 1
        return found

    def _pair(
        self, row: Artifact, thing: ObjectInfo, found: _Suspicion, spool: _Spool, report: AuditReport
    ) -> None:
        stored = row.state is ArtifactState.STORED
        found.present += stored
        if stored and row.etag == thing.etag and row.size_bytes == thing.size_bytes and thing.size_bytes:
            report.counts[Verdict.INTACT] += 1
            spool.add(row.ref, Verdict.INTACT)
        else:
            found.mismatched.append(row)

    # --- a closer look

    def _look_closer(self, found: _Suspicion, report: AuditReport, spool: _Spool) -> None:
        """Ask about each suspect by itself: its HEAD (and bytes, where only they can tell), its fresh row."""
        found.refuse_if_too_few()
        rows = [*found.mismatched, *found.rows_alone.values()]
        with ThreadPoolExecutor(THREADS, thread_name_prefix="audit") as pool:
            for row, finding in zip(rows, pool.map(self._verifier.check_row, rows), strict=True):
                if finding is None:  # the row changed or went meanwhile: not a matter for this audit
                    continue
                report.add_row(Bad(finding, row.job_id, row.video_id))
                if finding.verdict is not Verdict.UNKNOWN:
                    spool.add(row.ref, finding.verdict)
        self._orphans(found.objects_alone.values(), report)
        found.clear()

    def _orphans(self, things: Iterable[ObjectInfo], report: AuditReport) -> None:
        """Objects that no artifact row and no video row names, by a second look at the database."""
        by_ref = {thing.ref: thing for thing in things}
        rowed, pointed = self._store.artifacts_at([*by_ref]), self._store.videos_of_keys([*by_ref])
        for ref, thing in by_ref.items():
            if ref in rowed or ref in pointed:
                continue
            report.orphans += 1
            why = f"{thing.size_bytes} bytes are stored and nothing in the database names them"
            subject = Subject.AUDIO if ref.bucket == self._buckets.audio else Subject.VIDEO
            report.keep(Bad(Finding(subject, Verdict.FOREIGN, why, ref, thing.size_bytes, thing.etag)))

    def _uploads(self, buckets: list[str], report: AuditReport) -> None:
        now = self._store.now()
        for bucket in buckets:
            report.upload_listing_requests += 1
            for upload in self._storage.unfinished(bucket):
                if now - upload.started_at < UPLOAD_AGE:
                    continue
                row = self._store.artifacts_at([upload.ref]).get(upload.ref)
                if row is not None and self._verifier.is_live(row.job_id):
                    continue
                report.unfinished_uploads += 1
                why = f"an upload begun at {upload.started_at:%Y-%m-%d %H:%M} UTC was never finished"
                finding = Finding(
                    Subject.UPLOAD, Verdict.PARTIAL, why, upload.ref, upload_id=upload.upload_id
                )
                report.keep(Bad(finding, row.job_id if row else None, row.video_id if row else None))

    def _unrecorded(self, report: AuditReport) -> None:
        for row in self._store.scan_unrecorded(JobFilter(), batch=PAGE):
            report.unrecorded_jobs += 1
            why = "succeeded, and its video or audio has no stored artifact row"
            finding = Finding(Subject.RECORD, Verdict.PARTIAL, why)
            report.keep(Bad(finding, row.job.id, row.job.video_id))
        report.database_pages += report.unrecorded_jobs // PAGE + 1

    def _record(self, spool: _Spool) -> None:
        for checks in spool.batches():
            self._stop.check()
            self._store.record_checks(checks)


class _Spool:
    """What was found, kept in a file until all of it may be recorded."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file
        self._page: list[tuple[str, str, Verdict]] = []

    def add(self, ref: ObjectRef, verdict: Verdict) -> None:
        self._page.append((ref.bucket, ref.key, verdict))
        if len(self._page) == PAGE:
            self._put()

    def batches(self) -> Iterator[list[Checked]]:
        self._put()
        self._file.seek(0)
        for line in self._file:
            yield [Checked(ObjectRef(b, k), Verdict(v), Level.EXISTS) for b, k, v in json.loads(line)]

    def _put(self) -> None:
        if self._page:
            self._file.write(json.dumps(self._page) + "\n")
            self._page = []


@dataclass(slots=True)
class _Suspicion:
    """What did not match in one bucket, so far."""

    bucket: str
    rows: int = 0
    objects: int = 0
    stored: int = 0
    present: int = 0
    """Stored rows whose object was listed."""
    rows_alone: dict[str, Artifact] = field(default_factory=dict)
    objects_alone: dict[str, ObjectInfo] = field(default_factory=dict)
    mismatched: list[Artifact] = field(default_factory=list)

    def count(self, row: Artifact) -> None:
        self.rows += 1
        self.stored += row.state is ArtifactState.STORED

    @property
    def suspects(self) -> int:
        return len(self.rows_alone) + len(self.objects_alone) + len(self.mismatched)

    def clear(self) -> None:
        self.rows_alone.clear()
        self.objects_alone.clear()
        self.mismatched.clear()

    def refuse_if_too_few(self) -> None:
        refuse_if_too_few(self.stored, self.present, f"bucket {self.bucket}")


def refuse_if_too_few(expected: int, present: int, where: str) -> None:
    """Raise StorageUnavailable when so little is there that storage itself must be doubted."""
    if expected == 0 or (present > 0 and (expected < LEAST_EXPECTED or present >= expected * LEAST_SHARE)):
        return
    raise StorageUnavailable(
        f"{where} shows {present} of {expected} stored objects: too few to believe it; nothing was recorded",
        hint="Suspect an outage, the wrong endpoint or bucket, or credentials that see another tenant: "
        "`ingestctl doctor`. A single job can still be checked by its id.",
    )


def _ahead(things: Iterable[_T]) -> Iterator[_T]:
    """The same, read a page ahead by a thread: the database and storage work while this program does."""
    source = iter(things)
    with ThreadPoolExecutor(1, thread_name_prefix="audit-reader") as reader:
        page = reader.submit(_page, source)
        while some := page.result():
            page = reader.submit(_page, source)
            yield from some


def _page(source: Iterator[_T]) -> list[_T]:
    return list(itertools.islice(source, PAGE))


def _order(row: Artifact | None, thing: ObjectInfo | None) -> int:
    """Which comes first in UTF-8 byte order: the row (-1), the object (1), or both are of one key (0)."""
    if row is None or thing is None:
        return 1 if row is None else -1
    if row.ref.key == thing.ref.key:
        return 0
    return -1 if row.ref.key.encode() < thing.ref.key.encode() else 1
