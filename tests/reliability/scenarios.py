"""What is interrupted: each scenario is how it begins, the command, and what must be true in the end."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.reliability import oracle
from tests.reliability.actors import Actor
from tests.reliability.places import Place, client

if TYPE_CHECKING:
    from collections.abc import Callable

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
    from ingestctl.domain.source import parse_payload
    from ingestctl.storage.base import UploadRequest

    wiring = opened(place)
    command = _submit(place, place.url)
    store, storage = wiring.store, wiring.storage
    claim = store.claim(command[-1], owner="dead", lease_s=60, stale_after_s=60)
    lease, video = claim.lease, claim.video
    terms = {"source_type": video.source_type, "source_uri": video.source_uri, "buckets": wiring.buckets}
    spec = parse_payload(claim.job.payload, video_id=video.id, **terms)
    store.enter_phase(lease, Phase.DOWNLOADING)
    store.reserve(lease, spec.video, Kind.VIDEO)
    store.reserve(lease, spec.audio, Kind.AUDIO)
    learned = {"phase": "downloading", "source": {"title": "v", "duration_ms": 1000}}
    store.enter_phase(lease, Phase.PROCESSING, ended=learned)
    store.enter_phase(lease, Phase.STORING)
    body = place.media.read_bytes()
    session = storage.begin(UploadRequest(spec.video, "video/mp4", {"ingest-run": lease.run_id}))
    session.append(body)
    digest = hashlib.sha256(body).hexdigest()
    store.stage(lease, spec.video, size_bytes=len(body), sha256=digest, content_type="video/mp4")
    session.publish()
    storage.begin(UploadRequest(spec.audio, "audio/wav")).append(bytes(100_000))
    place.age_leases()
    return command


def failed(place: Place) -> list[str]:
    """A job that failed for a reason that passes."""
    from ingestctl.db.base import RunError

    store, job_id = opened(place).store, _submit(place, place.url)[-1]
    lease = store.claim(job_id, owner="failed", lease_s=60, stale_after_s=60).lease
    store.fail(lease, RunError("download_timeout", "Read timed out."))
    return ["retry", job_id, "--reason", "the source is back"]


def damaged(place: Place) -> list[str]:
    """A job that succeeded, and whose video has lost its bytes since; its audio is whole."""
    if Actor(place.home, place.env, _submit(place, place.url)).wait().code != 0:
        raise RuntimeError("the run before the damage failed")
    stored = {row["kind"]: row for row in place.rows()["ingest_artifacts"]}["video"]
    body = b"\0" * stored["size_bytes"]
    if place.server is None:
        (place.home / "objects" / stored["bucket"] / stored["key"]).write_bytes(body)
    else:
        client(place.server).put_object(Bucket=stored["bucket"], Key=stored["key"], Body=body)
    return ["cleanup", stored["job_id"], "--confirm", stored["job_id"], "--reason", "damaged"]


def cleaned(place: Place) -> list[str]:
    """The same after its cleanup, which an operator wants undone."""
    done = Actor(place.home, place.env, damaged(place)).wait()
    incidents = place.rows()["ingest_incidents"]
    if done.code != 0 or len(incidents) != 1:
        raise RuntimeError(f"the cleanup to undo failed: {done} {incidents}")
    job_id = place.job_ids()[0]
    return ["cleanup", "--undo", incidents[0]["id"], "--confirm", job_id, "--reason", "undo"]


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
        tag = f"{os.getpid():x}-{next(self._numbers)}"
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

    def again(self, made: dict[str, Any], database_url: str) -> Place:
        """A place that :meth:`place` made in another fork."""
        server = self._template.server
        if server is not None:
            server = replace(server, database_url=database_url)
        return Place(**{**made, "home": Path(made["home"]), "media": Path(made["media"]), "server": server})

    def remove(self, place: Place) -> None:
        """Remove a place's folder, and its database if it has one of its own."""
        if self._scenario.own_database and place.server is not None:
            _admin(place, "DROP DATABASE {name} WITH (FORCE)")
        shutil.rmtree(place.home.parent, ignore_errors=True)
