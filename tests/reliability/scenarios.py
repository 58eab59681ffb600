"""What is interrupted: each scenario is how it begins, the command, and what must be true in the end."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tests.reliability import oracle
from tests.reliability.places import Place, client

if TYPE_CHECKING:
    from collections.abc import Callable

    from ingestctl.domain.artifact import Artifact, Kind, ObjectRef
    from ingestctl.domain.job import Lease
    from ingestctl.domain.source import IngestSpec
    from ingestctl.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Scenario:
    """``arrange`` makes the beginning and returns the command; ``check`` returns violations of the end."""

    arrange: Callable[[Place], list[str]]
    check: Callable[[Place], list[str]] = oracle.ingested
    own_media: bool = False
    """Whether each place needs bytes of its own, since their key is made of them."""
    own_database: str | None = None
    """The template of a PostgreSQL database for each place alone; ``empty`` on SQLite."""
    unchanged: str = "unchanged"
    """The outcome of one more call."""

    def state(self, place: Place) -> str:
        """What the dead left, comparable."""
        return repr(oracle.schema(place)) if self.own_database else place.fingerprint()

    def dump(self, place: Place) -> dict[str, list[str]]:
        """All that one more call must leave as it is."""
        return oracle.schema(place) if self.own_database else place.dump()

    def pass_time(self, place: Place) -> None:
        """Let a dead owner's lease run out."""
        if not self.own_database:
            place.age_leases()


def opened(place: Place) -> Wiring:
    """The services of a place, in a process that is its own from now on."""
    from ingestctl import config
    from ingestctl.wiring import Wiring

    env = place.env
    os.environ.clear()
    os.environ.update(env)
    return Wiring(config.load())


def _submit(place: Place, source: str) -> list[str]:
    job = opened(place).submitter().submit(source).job
    return ["run", "--job-id", job.id]


def fresh(place: Place) -> list[str]:
    """A job that nobody has touched; its source is a URL."""
    return _submit(place, place.url)


def uploaded(place: Place) -> list[str]:
    """The same; its source is a file in the uploads bucket."""
    return _submit(place, str(place.media))


def half_done(place: Place) -> list[str]:
    """Attempt 1 died with the original stored, the audio on its way, and its children gone."""
    from ingestctl.domain.artifact import Kind
    from ingestctl.domain.job import Phase
    from ingestctl.storage.base import UploadRequest

    wiring, command = opened(place), _submit(place, place.url)
    store = wiring.store
    lease, spec = _claimed(wiring, command[-1])
    store.enter_phase(lease, Phase.DOWNLOADING)
    store.reserve(lease, spec.video, Kind.VIDEO)
    store.reserve(lease, spec.audio, Kind.AUDIO)
    learned = {"phase": "downloading", "source": {"title": "v", "duration_ms": 1000}}
    store.enter_phase(lease, Phase.PROCESSING, ended=learned)
    store.enter_phase(lease, Phase.STORING)
    _stored(wiring, lease, spec.video, Kind.VIDEO, place.media.read_bytes())
    wiring.storage.begin(UploadRequest(spec.audio, "audio/wav")).append(bytes(100_000))
    place.age_leases()
    return command


def _claimed(wiring: Wiring, job_id: str) -> tuple[Lease, IngestSpec]:
    from ingestctl.domain.source import parse_payload

    claim = wiring.store.claim(job_id, owner="dead", lease_s=60, stale_after_s=60)
    video = claim.video
    terms = {"source_type": video.source_type, "source_uri": video.source_uri, "buckets": wiring.buckets}
    return claim.lease, parse_payload(claim.job.payload, video_id=video.id, **terms)


def _stored(wiring: Wiring, lease: Lease, ref: ObjectRef, kind: Kind, body: bytes) -> Artifact:
    """Store an object as a run does, short of the commit."""
    from ingestctl.domain.artifact import Artifact, ArtifactState
    from ingestctl.storage.base import UploadRequest

    named = {"ingest-run": lease.run_id, "ingest-kind": kind.value, "ingest-video": lease.video_id}
    facts = {
        "size_bytes": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "content_type": {"video": "video/mp4", "audio": "audio/wav"}[kind.value],
    }
    wiring.store.reserve(lease, ref, kind)
    session = wiring.storage.begin(UploadRequest(ref, facts["content_type"], named))
    session.append(body)
    wiring.store.stage(lease, ref, **facts)
    owner = (lease.video_id, lease.job_id, lease.run_id)
    return Artifact(ref, kind, *owner, ArtifactState.STORED, etag=session.publish().etag, **facts)


def failed(place: Place) -> list[str]:
    """A job that failed for a reason that passes."""
    from ingestctl.db.base import RunError

    store, job_id = opened(place).store, _submit(place, place.url)[-1]
    lease = store.claim(job_id, owner="failed", lease_s=60, stale_after_s=60).lease
    store.fail(lease, RunError("download_timeout", "Read timed out."))
    return ["retry", job_id, "--reason", "the source is back"]


def damaged(place: Place) -> list[str]:
    """A job that succeeded, and whose video has lost its bytes since; its audio is whole."""
    from ingestctl.db.base import VideoFacts
    from ingestctl.domain.artifact import Kind, storage_ref

    wiring, job_id = opened(place), _submit(place, place.url)[-1]
    lease, spec = _claimed(wiring, job_id)
    video = _stored(wiring, lease, spec.video, Kind.VIDEO, place.media.read_bytes())
    audio = _stored(wiring, lease, spec.audio, Kind.AUDIO, bytes(32_000))
    pointer = storage_ref(video, wiring.storage.provider)
    facts = VideoFacts(duration_ms=1000)
    wiring.store.succeed(lease, facts=facts, artifacts=(video, audio), storage_ref=pointer)
    body = bytes(video.size_bytes or 0)
    if place.server is None:
        (place.home / "objects" / video.ref.bucket / video.ref.key).write_bytes(body)
    else:
        client(place.server).put_object(Bucket=video.ref.bucket, Key=video.ref.key, Body=body)
    return ["cleanup", job_id, "--confirm", job_id, "--reason", "damaged"]


def cleaned(place: Place) -> list[str]:
    """The same after its cleanup, which an operator wants undone."""
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.planning import Terms

    job_id = damaged(place)[1]
    wiring, stop = opened(place), Stop()
    planner = wiring.planner(stop)
    plan = planner.survey([wiring.store.resolve(job_id)], Terms()).plan
    (done,) = wiring.cleaner(planner, stop).apply(plan, reason="damaged")
    if done.error is not None or done.incident is None:
        raise RuntimeError(f"the cleanup to undo failed: {done}")
    return ["cleanup", "--undo", done.incident, "--confirm", job_id, "--reason", "undo"]


def file(place: Place) -> list[str]:
    """A file on this machine that nobody has submitted."""
    return ["submit", str(place.media)]


def database(place: Place) -> list[str]:
    """A database without our tables."""
    if place.server is not None:
        _admin(place, "CREATE DATABASE {name} TEMPLATE tpl_platform")
    return ["db", "upgrade"]


def _admin(place: Place, statement: str) -> None:
    import psycopg

    assert place.server is not None
    url, name = place.server.database_url.replace("+psycopg", "").rsplit("/", 1)
    with psycopg.connect(f"{url}/postgres", autocommit=True) as connection:
        connection.execute(statement.format(name=name).encode())


SCENARIOS = {
    "run": Scenario(fresh),
    "run-second": Scenario(half_done),
    "run-upload": Scenario(uploaded, own_media=True),
    "submit": Scenario(file, oracle.submitted, own_media=True, unchanged="ok"),
    "retry": Scenario(failed, oracle.requeued),
    "cleanup": Scenario(damaged, oracle.quarantined, unchanged="ok"),
    "undo": Scenario(cleaned, oracle.restored, unchanged="ok"),
    "db-upgrade": Scenario(database, oracle.migrated, own_database="platform", unchanged="ok"),
}


class Stage:
    """Makes places for one scenario: a home each, and what belongs in it."""

    def __init__(self, scenario: Scenario, template: Place, base: Place) -> None:
        self._scenario = scenario
        self._template = template
        self._base = base.home
        self._numbers = itertools.count(1)

    def place(self) -> Place:
        """A new place, of a name that no other fork gives. Opens nothing."""
        tag = f"{self._template.home.name}-{os.getpid():x}-{next(self._numbers)}"
        folder = self._template.home / f"cell-{tag}"
        home, media, server = folder / "home", self._template.media, self._template.server
        folder.mkdir()
        if self._scenario.own_database or server is not None:
            home.mkdir()
        else:
            shutil.copytree(self._base, home)
        if self._scenario.own_media:
            body = b"cell-" + tag.encode()
            media = folder / "v.mp4"
            box = (8 + len(body)).to_bytes(4, "big") + b"free" + body
            media.write_bytes(self._template.media.read_bytes() + box)
        if self._scenario.own_database and server is not None:
            url = server.database_url.rsplit("/", 1)[0] + f"/cell_{tag.replace('-', '_')}"
            server = replace(server, database_url=url)
        url = f"{self._template.url}?cell=cell-{tag}"
        return replace(self._template, home=home, media=media, server=server, tag=tag, url=url)

    def remove(self, place: Place) -> None:
        """Remove a place's folder, and its database if it has one of its own."""
        if self._scenario.own_database and place.server is not None:
            _admin(place, "DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(place.home.parent, ignore_errors=True)
