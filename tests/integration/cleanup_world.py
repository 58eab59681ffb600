"""A platform with damaged jobs, a cleaner for it, and eyes on every byte."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import StorageRefused
from ingestctl.domain.source import Buckets
from ingestctl.domain.stop import Stop
from ingestctl.ops.cleanup import Cleaned, Cleaner
from ingestctl.ops.holding import HoldTerms
from ingestctl.ops.planning import Planner, Terms
from ingestctl.ops.undo import Quarantine
from ingestctl.storage.local import LocalStorage
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
from tests.contracts.jobstore_world import World
from tests.integration.verify_world import Place

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from ingestctl.domain.artifact import ObjectRef
    from ingestctl.domain.job import Job
    from ingestctl.domain.plan import Plan
    from ingestctl.storage.base import Storage

VIDEO, AUDIO = b"the original, byte for byte" * 100, b"RIFF the extracted audio" * 100
BROKEN = AUDIO[:-1] + b"!"
_owners = itertools.count(1)


@dataclass
class Site:
    """A place, and the cleaner's parts over it; ``storage`` may stand in for the place's own."""

    place: Place
    storage: Storage | None = None
    lease_s: float = 60.0
    stop: Stop = field(default_factory=Stop)

    @property
    def store(self) -> Any:
        return self.place.world.store

    @property
    def terms(self) -> HoldTerms:
        return HoldTerms(f"cleaner-{next(_owners)}", "op@host", self.lease_s, self.lease_s / 6)

    def planner(self) -> Planner:
        storage = self.storage or self.place.storage
        return Planner(self.store, storage, self.place.verifier(storage), self.place.buckets)

    def cleaner(self) -> Cleaner:
        storage = self.storage or self.place.storage
        return Cleaner(self.store, storage, self.planner(), self.terms, self.stop)

    def quarantine(self) -> Quarantine:
        return Quarantine(self.store, self.storage or self.place.storage, self.terms, self.stop)

    def plan(self, *jobs: Job, **terms: Any) -> Plan:
        return self.planner().survey([self.fresh(job) for job in jobs], Terms(**terms)).plan

    def clean(self, job: Job, **terms: Any) -> Cleaned:
        """What the command does: finish what was begun, else plan and apply."""
        cleaner = self.cleaner()
        begun = cleaner.unfinished(job)
        if begun is not None:
            return cleaner.resume(self.fresh(job), begun)
        (done,) = cleaner.apply(self.plan(job, **terms), reason="it is broken")
        return done

    def undo(self, incident: str | None) -> Cleaned:
        quarantine = self.quarantine()
        found, plan = quarantine.undo_plan(str(incident))
        return quarantine.undo(found, plan, reason="it was fine")

    def fresh(self, job: Job) -> Job:
        found: Job = self.store.resolve(job.id)
        return found

    def objects(self) -> dict[str, bytes]:
        """Every object there is, by bucket's role and key."""
        found = {}
        for role, bucket in (("video", self.place.buckets.video), ("audio", self.place.buckets.audio)):
            for info in self.place.storage.list_objects(bucket):
                with self.place.storage.read(info.ref) as chunks:
                    found[f"{role}:{info.ref.key}"] = b"".join(chunks)
        return found

    def unfinished(self) -> list[str]:
        buckets = (self.place.buckets.video, self.place.buckets.audio)
        return [u.ref.key for bucket in buckets for u in self.place.storage.unfinished(bucket)]

    def rows(self) -> list[tuple[str, str]]:
        rows = self.place.world.sql("SELECT key, state FROM ingest_artifacts ORDER BY key")
        return [(row["key"].rpartition("/")[2], row["state"]) for row in rows]

    def status(self, job: Job) -> str:
        return self.fresh(job).status.value

    def entries(self, incident: str | None) -> list[str]:
        return [entry.kind for entry in self.store.incident_entries(incident)]

    # --- wrecks

    def ingested(self) -> Job:
        return self.place.ingested(VIDEO, AUDIO)

    def with_bad_audio(self) -> Job:
        job = self.ingested()
        self.place.rewrite(self.place.refs(job)[1], BROKEN)
        return job


def refused(plan: Plan) -> set[str]:
    return {refusal.subject.value for refusal in plan.refusals}


def key(job: Job, name: str) -> str:
    role = "audio" if name == "audio.wav" else "video"
    return f"{role}:videos/{job.video_id}/{name}"


class Refusing:
    """The store, with one of its methods refused."""

    def __init__(self, storage: Storage, *names: str) -> None:
        self._storage = storage
        self.names = set(names)

    def __getattr__(self, name: str) -> Any:
        if name in self.names:
            return self._refuse
        return getattr(self._storage, name)

    def _refuse(self, *_args: Any, **_options: Any) -> Any:
        raise StorageRefused("storage refused it: AccessDenied")


def folder_place(template: Path, tmp_path: Path) -> Place:
    world = World(f"sqlite:///{shutil.copy(template, tmp_path / 'jobs.db')}")
    storage = LocalStorage(tmp_path / "objects")
    buckets = Buckets()
    for bucket in (buckets.video, buckets.audio, buckets.uploads):
        storage.ensure_bucket(bucket)

    def path(ref: ObjectRef) -> Path:
        return tmp_path / "objects" / ref.bucket / ref.key

    def rewrite(ref: ObjectRef, data: bytes) -> None:
        path(ref).write_bytes(data)

    return Place(world, storage, buckets, tmp_path / "scratch", rewrite, lambda ref: path(ref).unlink())


def s3_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("s3_server")
    client, fresh = request.getfixturevalue("s3_client"), request.getfixturevalue("s3_bucket_name")
    world = World(request.getfixturevalue("postgres").create_database("migrated"))
    storage = S3Storage(S3Options(server.endpoint, access_key=server.access, secret_key=server.secret))
    buckets = Buckets(fresh(), fresh(), fresh())
    for bucket in (buckets.video, buckets.audio, buckets.uploads):
        client.create_bucket(Bucket=bucket)

    def rewrite(ref: ObjectRef, data: bytes) -> None:
        head = client.head_object(Bucket=ref.bucket, Key=ref.key)
        client.put_object(
            Bucket=ref.bucket,
            Key=ref.key,
            Body=data,
            ContentType=head["ContentType"],
            Metadata=head["Metadata"],
        )

    def remove(ref: ObjectRef) -> None:
        client.delete_object(Bucket=ref.bucket, Key=ref.key)

    return Place(world, storage, buckets, tmp_path / "scratch", rewrite, remove, s3=client)


def make_place(request: pytest.FixtureRequest, tmp_path: Path, kind: str) -> Place:
    if kind == "folder":
        return folder_place(request.getfixturevalue("sqlite_template"), tmp_path)
    return s3_place(request, tmp_path)
