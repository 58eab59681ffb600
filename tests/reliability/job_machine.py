"""A state machine that plays the job store and its model side by side, and compares all rows after each step.

Lease times are hours, and steps of time are larger still, so that no slow machine can change what is live.
"""

from __future__ import annotations

import itertools
import json
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from ingestctl.db.base import HandOff, NewJob, RunError, VideoFacts
from ingestctl.db.ids import new_id
from ingestctl.db.operator import Incident
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.errors import IngestError
from ingestctl.domain.job import Phase, Status
from ingestctl.domain.source import source_of_url
from tests.reliability.job_model import CRASH_BUDGET, CRASHED, GAVE_UP, STALE_S, Attempt, Job, Model
from tests.reliability.job_rows import CANCELED, Sql, dump, problems, status

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from ingestctl.db.base import Claim
    from ingestctl.db.store import SqlJobStore
    from ingestctl.domain.job import Lease

Owned = tuple["Lease", Attempt]

LEASE_S = 100_000.0
PASS_S = (45_000.0, 110_000.0, -45_000.0)
owners = st.sampled_from(["worker-1", "worker-2"])
cleaners = st.sampled_from(["cleaner-1", "cleaner-2"])
sources = st.integers(0, 2)
keys = st.sampled_from(["mine", "shared"])
kinds = st.sampled_from(Kind)
_examples = itertools.count(1)


class JobStoreMachine(RuleBasedStateMachine):
    """Subclassed with a store and a way around it; counts what it did."""

    store: SqlJobStore
    sql: Sql
    told: Counter[str]

    jobs: Bundle[str] = Bundle("jobs")
    leases: Bundle[Owned] = Bundle("leases")
    holds: Bundle[str] = Bundle("holds")

    def __init__(self) -> None:
        super().__init__()
        self.sql.clear()
        self.model = Model()
        self.example = f"{next(_examples):06d}"
        self.numbers = itertools.count(1)
        self.others = 0
        self._clock = (time.time, time.time_ns)
        self.told["examples"] += 1

    def teardown(self) -> None:
        attempts = [a for job in self.model.jobs.values() for a in job.attempts]
        self.told["attempts"] += len(attempts)
        self.told["taken over"] += sum(a.code == CRASHED for a in attempts)
        self.told["given up"] += sum(j.error == GAVE_UP for j in self.model.jobs.values())
        self.told["succeeded"] += sum(a.status == "succeeded" for a in attempts)
        time.time, time.time_ns = self._clock

    # --- both at once

    def both(self, model: Callable[[], Any], store: Callable[[], Any]) -> tuple[Any, Any]:
        """Do it in both; what the model refuses the store must refuse, and write nothing. None if refused."""
        self.told["steps"] += 1
        try:
            expected = model()
        except IngestError as error:
            refusal = type(error)
        else:
            return expected, store()
        self.told[refusal.__name__] += 1
        before = dump(self.sql.rows())
        with pytest.raises(refusal):
            store()
        assert dump(self.sql.rows()) == before, f"{refusal.__name__}, and yet something was written"
        return None, None

    def owned(self, claim: Claim, attempt: Attempt, owner: str) -> Owned:
        assert (claim.lease.attempt, claim.lease.owner) == (attempt.number, owner)
        assert (claim.job.status, claim.job.phase) == (Status.RUNNING, Phase.DOWNLOADING)
        return claim.lease, attempt

    def ref(self, lease: Lease, key: str) -> ObjectRef:
        return ObjectRef("raw", f"{lease.video_id if key == 'mine' else 'shared'}/source.mp4")

    def change(self, job_id: str, event: str | None, **values: Any) -> None:
        """What another service writes: a job's columns, and perhaps an event."""
        columns = ", ".join(f"{name} = ?" for name in values)
        self.sql(f"UPDATE jobs SET {columns} WHERE id = ?", *values.values(), job_id)
        if event is not None:
            self.event(job_id, None, event, {})

    def event(self, job_id: str, run_id: str | None, kind: str, payload: dict[str, Any]) -> None:
        columns = "INSERT INTO job_events (id, job_id, run_id, event_type, payload, created_at)"
        values = (new_id(), job_id, run_id, kind, json.dumps(payload))
        self.sql(f"{columns} VALUES (?, ?, ?, ?, ?, {self.sql.now})", *values)

    # --- jobs come

    @rule(target=jobs, number=sources)
    def submit(self, number: int) -> str:
        video = f"{self.example}-v{number}"
        source = source_of_url(f"https://media.example/{self.example}/{number}.mp4")
        there = self.model.of_video(video)
        job_id = f"{self.example}-{next(self.numbers):04d}"
        done = self.store.submit(NewJob(source, video, job_id, {"version": "2.0"}))
        self.told["steps"] += 1
        assert done.created == (not there)
        assert done.job.id == (there[-1].id if there else job_id), "the latest job of the same source"
        self.model.jobs.setdefault(done.job.id, Job(done.job.id, video))
        return done.job.id

    @rule(target=jobs, of=jobs)
    def platform_adds_another_job(self, of: str) -> str:
        video = self.model.jobs[of].video
        job_id = self._insert(video, "ingest")
        self.event(job_id, None, "ingestion.job.submitted", {})
        self.model.jobs[job_id] = Job(job_id, video)
        return job_id

    @rule(of=jobs)
    def another_service_queues_its_job(self, of: str) -> None:
        self._insert(self.model.jobs[of].video, "transcribe")
        self.others += 1

    def _insert(self, video: str, kind: str) -> str:
        job_id = f"{self.example}-{next(self.numbers):04d}"
        stamps = ", ".join([self.sql.now] * 3)
        columns = "INSERT INTO jobs (id, video_id, type, status, queued_at, created_at, updated_at)"
        self.sql(f"{columns} VALUES (?, ?, ?, 'queued', {stamps})", job_id, video, kind)
        return job_id

    # --- owners

    @rule(target=leases, job=jobs, owner=owners)
    def claim(self, job: str, owner: str) -> Any:
        attempt, claim = self.both(
            lambda: self.model.claim(job, owner, LEASE_S),
            lambda: self.store.claim(job, owner=owner, lease_s=LEASE_S, stale_after_s=STALE_S),
        )
        return multiple() if claim is None else self.owned(claim, attempt, owner)

    @rule(target=leases, owner=owners)
    def claim_next(self, owner: str) -> Any:
        terms = {"lease_s": LEASE_S, "stale_after_s": STALE_S, "max_attempts": CRASH_BUDGET}
        expected, claim = self.both(
            lambda: self.model.claim_next(owner, LEASE_S),
            lambda: self.store.claim_next(owner=owner, **terms),  # type: ignore[arg-type]
        )
        assert (claim and claim.job.id) == (expected and expected[0].id), "the first in the queue"
        return self.owned(claim, expected[1], owner) if claim else multiple()

    @rule(job=jobs)
    def an_older_worker_starts_and_dies(self, job: str) -> None:
        known = self.model.jobs[job]
        if known.status != "queued" or any(j.running for j in self.model.of_video(known.video)):
            return
        attempt = Attempt(len(known.attempts) + 1, None, None)
        known.attempts.append(attempt)
        known.status = "running"
        self.change(job, None, status="running")
        columns = "id, job_id, attempt, status, metadata, started_at, created_at, updated_at"
        stamps = ", ".join([self.sql.now] * 3)
        run_id = new_id()
        values = (run_id, job, attempt.number)
        self.sql(f"INSERT INTO job_runs ({columns}) VALUES (?, ?, ?, 'running', '{{}}', {stamps})", *values)
        self.event(job, run_id, "ingestion.run.started", {"attempt": attempt.number})

    def fenced(self, name: str, owned: Owned, *model: Any, **store: Any) -> None:
        lease, attempt = owned
        self.both(
            lambda: getattr(self.model, name)(lease.job_id, attempt, *model),
            lambda: getattr(self.store, {"forget": "forget_artifact"}.get(name, name))(lease, **store),
        )

    @rule(owned=leases)
    def heartbeat(self, owned: Owned) -> None:
        self.fenced("heartbeat", owned, LEASE_S)

    @rule(owned=leases)
    def confirm(self, owned: Owned) -> None:
        self.fenced("confirm", owned)

    @rule(owned=leases, phase=st.sampled_from(Phase))
    def enter_phase(self, owned: Owned, phase: Phase) -> None:
        self.fenced("enter_phase", owned, phase.value, phase=phase, ended={"phase": "before"})

    @rule(owned=leases)
    def record(self, owned: Owned) -> None:
        lease, attempt = owned
        note = ("ingestion.note.made", {"note": "x"})
        self.both(lambda: self.model.fence(lease.job_id, attempt), lambda: self.store.record(lease, *note))

    @rule(owned=leases, key=keys, kind=kinds)
    def reserve(self, owned: Owned, key: str, kind: Kind) -> None:
        ref = self.ref(owned[0], key)
        self.fenced("reserve", owned, ref.key, kind.value, ref=ref, kind=kind)

    @rule(owned=leases, key=keys, size=st.integers(0, 9))
    def stage(self, owned: Owned, key: str, size: int) -> None:
        ref, what = self.ref(owned[0], key), {"sha256": "ab" * 32, "content_type": "video/mp4"}
        self.fenced("stage", owned, ref.key, size, ref=ref, size_bytes=size, **what)

    @rule(owned=leases, key=keys)
    def forget(self, owned: Owned, key: str) -> None:
        ref = self.ref(owned[0], key)
        self.fenced("forget", owned, ref.key, ref=ref)

    @rule(owned=leases, key=keys, size=st.integers(0, 9))
    def succeed(self, owned: Owned, key: str, size: int) -> None:
        lease, ref = owned[0], self.ref(owned[0], key)
        names = (lease.video_id, lease.job_id, lease.run_id)
        made = Artifact(ref, Kind.VIDEO, *names, ArtifactState.STORED, size, "ab" * 32, "e")
        pointer = {"provider": "filesystem", "bucket": ref.bucket, "key": ref.key}
        hand_off = HandOff("transcription", f"transcription:{lease.video_id}", {})
        facts = {"facts": VideoFacts(title="x"), "artifacts": [made], "storage_ref": pointer}
        self.fenced("succeed", owned, ref.key, size, **facts, hand_off=hand_off)

    @rule(owned=leases, code=st.sampled_from(["download_blocked", "worker_crashed"]))
    def fail(self, owned: Owned, code: str) -> None:
        self.fenced("fail", owned, code, "no", error=RunError(code, "no"))

    @rule(owned=leases)
    def release(self, owned: Owned) -> None:
        self.fenced("release", owned, reason="SIGTERM")

    # --- operators and the orchestrator

    @rule(job=jobs, guess=st.none() | st.sampled_from(Status))
    def retry(self, job: str, guess: Status | None) -> None:
        expect = guess or Status(self.model.jobs[job].status)
        said = {"actor": "op", "reason": "again"}
        expected, got = self.both(
            lambda: self.model.reset(job, expect.value),
            lambda: self.store.reset(job, expect=expect, **said),  # type: ignore[arg-type]
        )
        assert got == expected

    @rule(job=jobs)
    def orchestrator_cancels(self, job: str) -> None:
        if self.model.jobs[job].status != "succeeded":
            self.model.jobs[job].status = "canceled"
            self.change(job, CANCELED, status="canceled")

    @rule(job=jobs)
    def old_words(self, job: str) -> None:
        word = {"queued": "pending", "succeeded": "completed"}.get(self.model.jobs[job].status)
        if word:
            self.change(job, None, status=word)

    @rule(target=holds, job=jobs, owner=cleaners)
    def cleanup_begins(self, job: str, owner: str) -> Any:
        name = f"{self.example}-i{next(self.numbers)}"
        incident = Incident(
            name, "cleanup", "open", "SEV-4", "t", "r", owner, _NEVER, None, job, self._video(job)
        )
        expected, got = self.both(
            lambda: self.model.hold(name, job, owner, LEASE_S),
            lambda: self.store.hold(incident, owner=owner, lease_s=LEASE_S),
        )
        assert (got and got.id) == expected
        return expected or multiple()

    def _video(self, job: str) -> str:
        return self.model.jobs[job].video

    @rule(hold=consumes(holds), owner=cleaners, reset=st.booleans())
    def cleanup_ends(self, hold: str, owner: str, reset: bool) -> None:
        said = {
            "actor": owner,
            "forget": [],
            "adopt": [],
            "payload": {},
            "reset_reason": "r" if reset else None,
        }
        expected, got = self.both(
            lambda: self.model.settle(hold, owner, reset=reset),
            lambda: self.store.settle_cleanup(hold, owner=owner, **said),  # type: ignore[arg-type]
        )
        assert got == expected

    # --- time

    @rule(target=leases, job=jobs, owner=owners, times=st.sampled_from([1, CRASH_BUDGET]))
    def an_owner_crashes(self, job: str, owner: str, times: int) -> Any:
        """It claims the job and is not heard of until long after its lease; then it may wake up."""
        for _ in range(times):
            got = self.claim(job, owner)
            self.pass_time(PASS_S[1])
            self._observe(self.sql.rows())
        if times == CRASH_BUDGET:  # the next in the queue may be this one, to be given up
            self.claim_next(owner)
        return got

    @rule(job=jobs, owner=owners)
    def a_whole_run(self, job: str, owner: str) -> None:
        got = self.claim(job, owner)
        if isinstance(got, tuple):
            self.succeed(got, "mine", 1)

    @rule(seconds=st.sampled_from(PASS_S))
    def the_databases_clock_moves(self, seconds: float) -> None:
        self.pass_time(seconds)

    def pass_time(self, seconds: float) -> None:
        """Forward, or put back: to everybody the same as leases that end earlier or later."""
        self.told["steps"] += 1
        self.model.pass_time(seconds)
        earlier = ", ".join(
            f"{c} = {self.sql.shifted(c, seconds)}" for c in ("lease_expires_at", "updated_at")
        )
        self.sql(f"UPDATE job_runs SET {earlier} WHERE status = 'running'")
        held = self.sql.shifted("lease_expires_at", seconds)
        self.sql(f"UPDATE ingest_incidents SET lease_expires_at = {held}")

    @rule(hours=st.sampled_from([-30, 0, 30]))
    def our_own_clock_moves(self, hours: int) -> None:
        seconds, nanoseconds = self._clock
        time.time = lambda: seconds() + hours * 3600
        time.time_ns = lambda: nanoseconds() + hours * 3600 * 10**9

    # --- after every step

    @invariant()
    def rows_are_as_the_model_says(self) -> None:
        rows = self.sql.rows()
        assert list(problems(rows)) == []
        self._observe(rows)
        model = self.model
        ours = {j["id"]: j for j in rows["jobs"] if j["type"] == "ingest"}
        assert {i: _job(j) for i, j in ours.items()} == {
            i: (j.status, j.phase, j.error is not None) for i, j in model.jobs.items()
        }
        assert sorted(_run(r) for r in rows["job_runs"]) == sorted(
            (j.id, a.number, a.status, a.code or "", a.owner or "")
            for j in model.jobs.values()
            for a in j.attempts
        )
        assert {
            r["key"]: (r["video_id"], r["kind"], r["state"], r["size_bytes"])
            for r in rows["ingest_artifacts"]
        } == {key: (r.video, r.kind, r.state, r.size) for key, r in model.rows.items()}
        assert {i["id"]: (i["status"] == "open", i["lease_owner"]) for i in rows["ingest_incidents"]} == {
            name: (h.open, h.owner) for name, h in model.holds.items()
        }
        others = Counter(j["type"] for j in rows["jobs"] if j["type"] != "ingest" and j["status"] == "queued")
        assert others == Counter({"transcribe": self.others, "transcription": len(model.handed_off)})

    def _observe(self, rows: Any) -> None:
        """Take the database's times over: the model orders the queue by them."""
        for row in rows["jobs"]:
            if job := self.model.jobs.get(row["id"]):
                job.queued_at = row["queued_at"]
        for row in rows["job_runs"]:
            if row["attempt"] <= len(self.model.jobs[row["job_id"]].attempts):
                self.model.jobs[row["job_id"]].attempts[row["attempt"] - 1].started_at = row["started_at"]
        for row in rows["job_events"]:
            if row["event_type"] == "ingestion.job.requeued":
                job = self.model.jobs[row["job_id"]]
                job.requeued_at = max(job.requeued_at or row["created_at"], row["created_at"])


_NEVER: datetime = None  # type: ignore[assignment]


def _job(row: dict[str, Any]) -> tuple[str, str | None, bool]:
    return status(row), row["ingestion_phase"], row["error_message"] is not None


def _run(row: dict[str, Any]) -> tuple[str, int, str, str, str]:
    return row["job_id"], row["attempt"], row["status"], row["error_code"] or "", row["lease_owner"] or ""
