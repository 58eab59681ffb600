"""The checks before a retry: each passes, fails, or cannot tell; each says how it knows."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Literal

from ingestctl.db.base import JobFilter
from ingestctl.domain.artifact import ArtifactState, ObjectRef, Verdict
from ingestctl.domain.errors import IngestError, InvalidPayload
from ingestctl.domain.job import Status
from ingestctl.domain.source import SourceKind, parse_payload
from ingestctl.domain.verification import Level, Subject
from ingestctl.ops.inspect import last_diagnosis
from ingestctl.pipeline.scratch import scratch_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Protocol

    from ingestctl.db.operator import FactStore, OperatorStore
    from ingestctl.domain.artifact import Artifact
    from ingestctl.domain.causes import Diagnosis
    from ingestctl.domain.job import Job, Run, Video
    from ingestctl.domain.source import Buckets, IngestSpec
    from ingestctl.domain.verification import Verification
    from ingestctl.storage.base import Storage

    class RetryStore(OperatorStore, FactStore, Protocol):
        """What the checks ask of the database."""


CheckVerdict = Literal["pass", "fail", "cannot-tell"]


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the checklist."""

    id: str
    verdict: CheckVerdict
    detail: str
    hint: str = ""
    covered: bool = True
    """Whether ``--anyway`` may overrule a failure."""


@dataclass(frozen=True, slots=True)
class Terms:
    """By which measures the checks go."""

    buckets: Buckets
    max_attempts: int
    cool_down_s: float
    scratch_root: Path
    min_free_bytes: int


@dataclass(frozen=True, slots=True)
class Case:
    """One job, with what the database says of it."""

    job: Job
    video: Video | None
    runs: Sequence[Run]
    diagnosis: Diagnosis | None
    spec: IngestSpec | None
    problem: str
    """Why there is no ``spec``."""


class Preflight:
    """Runs the checks. What does not depend on the job is looked at once, however many jobs there are."""

    def __init__(
        self,
        store: RetryStore,
        storage: Storage,
        reach: Callable[[str], str] | None,
        verify: Callable[[Job, Level], Verification],
        terms: Terms,
    ) -> None:
        self._store = store
        self._storage = storage
        self._reach = reach
        self._verify = verify
        self._terms = terms
        self._once: dict[str, Check] = {}
        self._looked: Verification | None = None

    def case(self, job: Job) -> Case:
        """Collect what the checks are about."""
        self._looked = None
        video, runs = self._store.video(job.video_id), self._store.runs(job.id)
        spec, problem = None, ""
        try:
            spec = parse_payload(
                job.payload,
                video_id=job.video_id,
                source_type=video.source_type if video else "",
                source_uri=video.source_uri if video else "",
                buckets=self._terms.buckets,
            )
        except InvalidPayload as error:
            problem = error.message
        return Case(job, video, runs, last_diagnosis(job, runs), spec, problem)

    def checks(self, case: Case) -> Sequence[Check]:
        """The checklist, in the runbook's order; it ends at a failure that nothing may overrule."""
        done = []
        for check in self._each(case):
            done.append(check)
            if check.verdict == "fail" and not check.covered:
                break
        return tuple(done)

    def _each(self, case: Case) -> Iterator[Check]:
        yield self._owner(case)
        yield self._state(case)
        yield self._duplicates(case)
        yield self._partial_files(case)
        yield self._cause(case)
        yield self._source(case)
        yield self._storage_writable(case)
        yield self._database_writable()
        yield self._scratch()
        yield self._attempts(case)

    # --- the job

    def _owner(self, case: Case) -> Check:
        live = next((run for run in case.runs if run.lease_live), None)
        if live is not None:
            return _fail(
                "owner",
                f"attempt {live.attempt} is held by {live.owner or 'an older worker'}, who still works on it",
                f"Wait for it, or watch it: ingestctl logs {case.job.id} --follow",
                covered=False,
            )
        rows = self._store.find(
            JobFilter(video_id=case.job.video_id, statuses=frozenset({Status.RUNNING})), limit=20
        ).jobs
        other = next((r for r in rows if r.lease_live and r.job.id != case.job.id), None)
        if other is not None:
            hint = f"Wait for it, or watch it: ingestctl logs {other.job.id} --follow"
            return _fail("owner", f"job {other.job.id} works on the same video now", hint, covered=False)
        dead = next((run for run in case.runs if run.status == "running"), None)
        gone = f"; attempt {dead.attempt} lost its worker ({dead.owner or 'unknown'})" if dead else ""
        return _pass("owner", f"no live worker owns it{gone}")

    def _state(self, case: Case) -> Check:
        job = case.job
        if job.status is Status.CANCELED:
            return _fail("state", "the job was canceled", "Say --anyway if it should run after all.")
        if job.status is not Status.SUCCEEDED:
            return _pass("state", f"the job is {job.status}")
        return self._succeeded(job)

    def _succeeded(self, job: Job) -> Check:
        """A job that succeeded is run again only when its artifacts were just proved not to be whole."""
        found = self._look(job)
        told = "; ".join(f"{f.subject} {f.verdict}: {f.evidence}" for f in found.findings)
        look = f"ingestctl verify-artifacts {job.id} --level checksum"
        if all(f.verdict is Verdict.INTACT for f in found.findings):
            return _fail(
                "state", f"the job succeeded and is whole: {told}", f"Look deeper: {look}", covered=False
            )
        if found.verdict is Verdict.UNKNOWN:
            return _fail("state", f"the job succeeded and cannot be checked: {told}", look, covered=False)
        return _pass("state", f"the job succeeded, and is not whole: {told}")

    def _look(self, job: Job) -> Verification:
        """One look at the artifacts for all the checks of a case."""
        if self._looked is None:
            self._looked = self._verify(job, Level.EXISTS)
        return self._looked

    def _duplicates(self, case: Case) -> Check:
        if case.video is None:
            return _cannot("duplicates", f"there is no video row {case.job.video_id}")
        wanted = {case.spec.video, case.spec.audio} if case.spec else set()
        stored = [a for a in self._store.artifacts(case.video.id) if a.state is ArtifactState.STORED]
        elsewhere = [str(a.ref) for a in stored if wanted and a.ref not in wanted]
        if elsewhere:
            hint = "Correct jobs.payload.artifacts, or clean up the other copy first."
            return _fail("duplicates", f"its media is stored under another key: {', '.join(elsewhere)}", hint)
        twins = self._store.twins(case.video)
        holding = [t.id for t in twins if self._holds_media(t)]
        if holding:
            hint = f"Look: ingestctl jobs {holding[0]}. Then say --anyway if both are wanted."
            return _fail("duplicates", f"the same media is stored for video {', '.join(holding)}", hint)
        also = f"; the same source is also video {', '.join(t.id for t in twins)}, with nothing stored"
        return _pass("duplicates", f"no other copy of this media is stored{also if twins else ''}")

    def _holds_media(self, video: Video) -> bool:
        rows = self._store.artifacts(video.id)
        return bool(video.storage_key) or any(a.state is ArtifactState.STORED for a in rows)

    def _partial_files(self, case: Case) -> Check:
        """What lies under the job's keys: its own leftovers may be written over, another's may not."""
        if case.spec is None:
            return _cannot("partial_files", case.problem)
        refs = (case.spec.video, case.spec.audio)
        rows = self._store.artifacts_at(refs)
        foreign = [a for a in rows.values() if a.video_id != case.job.video_id]
        if foreign:
            told = ", ".join(f"{a.ref} belongs to video {a.video_id}" for a in foreign)
            return _fail("partial_files", told, "Correct jobs.payload.artifacts of one of the two jobs.")
        return self._leftovers(case, list(rows.values()))

    def _leftovers(self, case: Case, rows: Sequence[Artifact]) -> Check:
        """A run keeps what is proved to be its own, and never writes over anything else."""
        found, recorded = self._look(case.job), {a.ref for a in rows}
        mine = [f"{a.ref} ({a.state} by run {a.run_id})" for a in rows if a.state is not ArtifactState.STORED]
        mine += [f"unfinished upload {f.upload_id[:20]} of {f.ref}" for f in found.strays if f.upload_id]
        blind = [f.evidence for f in found.strays if f.verdict is Verdict.UNKNOWN]
        blocking = []
        for subject in (Subject.VIDEO, Subject.AUDIO):
            finding = found.of(subject)
            there, known = finding.etag is not None, finding.ref in recorded
            if finding.verdict is Verdict.UNKNOWN and there and not known:
                blocking.append(f"{finding.ref} ({finding.size_bytes} bytes, recorded for nobody)")
            elif finding.verdict is Verdict.UNKNOWN:
                blind.append(f"{finding.ref} {finding.evidence}")
            elif there and finding.verdict is not Verdict.INTACT:
                blocking.append(f"{finding.ref} is {finding.verdict}: {finding.evidence}")
        if blocking:
            hint = f"It is never written over. First: ingestctl cleanup {case.job.id} --dry-run"
            return _fail("partial_files", f"in the way: {'; '.join(blocking)}", hint)
        if blind:
            return _cannot("partial_files", "; ".join(blind), "Check storage: ingestctl doctor")
        return _pass("partial_files", f"its own, safe to replace: {', '.join(mine)}" if mine else "none")

    def _cause(self, case: Case) -> Check:
        found = case.diagnosis
        if case.spec is None:
            return _fail("cause", case.problem, "Correct jobs.payload (or videos.source_uri) first.")
        if found is None:
            return _pass("cause", "no failure is on record")
        told = f"{found.title} ({found.cause}), retryable: {found.retryable}"
        if found.retryable == "yes":
            return _pass("cause", told)
        return _fail("cause", told, f"{found.guidance} Then say --anyway.")

    def _attempts(self, case: Case) -> Check:
        # Interrupted attempts (canceled) were nobody's fault and do not count.
        failed = sum(run.status not in ("canceled", "succeeded") for run in case.runs)
        told = f"{failed} of {self._terms.max_attempts} attempts used"
        if failed < self._terms.max_attempts:
            return _pass("attempts", told)
        return _fail("attempts", told, "Find out why it keeps failing; --anyway retries once more.")

    # --- the source

    def _source(self, case: Case) -> Check:
        if case.spec is None:
            return _cannot("source", case.problem)
        source = case.spec.source
        if source.kind is SourceKind.YOUTUBE:
            return _cannot("source", "not asked: this platform counts every request against us")
        if case.spec.upload is not None:
            return self._upload(case.spec.upload)
        if self._cooling(source.label()):
            told = (
                f"not asked: {source.label()} asked for fewer requests within {self._terms.cool_down_s:.0f} s"
            )
            return _cannot("source", told)
        if self._reach is None:
            return _cannot("source", "not asked: sources are reached through a proxy")
        try:
            return _pass("source", self._reach(source.uri))
        except IngestError as error:
            return _fail("source", error.message, error.hint)

    def _cooling(self, host: str) -> bool:
        since = self._store.now() - timedelta(seconds=self._terms.cool_down_s)
        where = JobFilter(
            causes=frozenset({"rate_limited"}), source=host, since=since, statuses=frozenset({Status.FAILED})
        )
        return bool(self._store.find(where, limit=1).jobs)

    def _upload(self, ref: ObjectRef) -> Check:
        try:
            info = self._storage.stat(ref)
        except IngestError as error:
            return _cannot("source", error.message, error.hint)
        if info is None:
            return _fail("source", f"the upload {ref} is not there", "Have the file uploaded again.")
        return _pass("source", f"the upload {ref} is there ({info.size_bytes} bytes)")

    # --- the place

    def _storage_writable(self, case: Case) -> Check:
        names = {case.spec.video.bucket, case.spec.audio.bucket} if case.spec else set()
        found = [self._bucket(name) for name in sorted(names)]
        bad = next((c for c in found if c.verdict != "pass"), None)
        return bad or _pass("storage", f"buckets {', '.join(sorted(names))} can be written")

    def _bucket(self, name: str) -> Check:
        def look() -> Check:
            # Without conditional writes the lease and the fence still keep objects safe: not a failure.
            bad = [c for c in self._storage.check(name) if not c.ok and "conditional" not in c.id]
            told = "; ".join(f"bucket {name}: {c.detail}" for c in bad)
            return _fail("storage", told, bad[0].hint, covered=False) if bad else _pass("storage", "")

        return self._remembered(f"bucket {name}", "storage", look)

    def _database_writable(self) -> Check:
        def look() -> Check:
            self._store.check_writable()
            return _pass("database", "can be written")

        return self._remembered("database", "database", look)

    def _scratch(self) -> Check:
        root, need = self._terms.scratch_root, self._terms.min_free_bytes
        try:
            there = next(p for p in (root, *root.parents) if p.exists())
            free = shutil.disk_usage(there).free
        except OSError as error:
            found = scratch_error(root, error)
            return _fail("scratch", found.message, found.hint)
        told = f"{root}: {free // 2**20} MiB free, {need // 2**20} MiB needed"
        if free >= need:
            return _pass("scratch", told)
        return _fail("scratch", told, "Free space, or set INGESTCTL_SCRATCH_DIR to a larger disk.")

    def _remembered(self, name: str, check_id: str, look: Callable[[], Check]) -> Check:
        if name not in self._once:
            try:
                self._once[name] = look()
            except IngestError as error:
                self._once[name] = _fail(check_id, error.message, error.hint, covered=False)
        return self._once[name]


def _pass(check_id: str, detail: str) -> Check:
    return Check(check_id, "pass", detail)


def _fail(check_id: str, detail: str, hint: str, *, covered: bool = True) -> Check:
    return Check(check_id, "fail", detail, hint, covered)


def _cannot(check_id: str, detail: str, hint: str = "") -> Check:
    return Check(check_id, "cannot-tell", detail, hint)
