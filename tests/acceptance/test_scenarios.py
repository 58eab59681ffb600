"""Every kind of source in every world: submit, run, look at everything, run again."""

from __future__ import annotations

import io
import json
import wave
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.conftest import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.acceptance.worlds import Completed, Stored, World
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

SOURCES = ("mp4", "moov_at_end", "hls", "dash", "webm", "upload")
PROGRESSIVE = {"mp4": "video/mp4", "moov_at_end": "video/mp4", "webm": "video/webm", "upload": "video/mp4"}
MERGED = {"hls": {"video/mp4", "video/mp2t"}, "dash": {"video/mp4", "video/x-matroska"}}
ALLOWED = {"provider", "bucket", "key", "content_type", "size_bytes", "checksum", "created_at", "metadata"}
RUN_KEYS = {"job_id", "video_id", "status", "outcome", "attempt", "duration_s", "artifacts"}
ARTIFACT_KEYS = {"kind", "bucket", "key", "size_bytes", "sha256", "content_type", "reused"}


class Ran:
    """One world with all six sources ingested, two runs at a time, then every job run again."""

    def __init__(self, world: World, server: SourceServer, samples: Samples) -> None:
        self.world = world
        self.files = {name: _file(name, samples) for name in SOURCES}
        inputs = [
            str(self.files[n])
            if n == "upload"
            else server.url(str(self.files[n].relative_to(samples.folder)) + f"?world={world.kind}")
            for n in SOURCES
        ]
        self.before = world.dump()
        self.submitted = world.cli("submit", *inputs)
        self.resubmitted = world.cli("submit", *inputs)
        assert self.submitted.code == 0, self.submitted.stdout + self.submitted.stderr
        self.jobs = {n: job["job_id"] for n, job in zip(SOURCES, self.submitted.data["jobs"], strict=True)}
        self.first = self._run_all()
        self.leftovers = world.leftovers()
        self.dump, self.store_state, requests = world.dump(), world.store_state(), server.count()
        self.again = self._run_all()
        self.new_requests = server.count() - requests
        self.dump_after, self.store_state_after = world.dump(), world.store_state()
        self.objects = world.objects()

    def _run_all(self) -> dict[str, Completed]:
        with ThreadPoolExecutor(2) as pool:
            return dict(zip(SOURCES, pool.map(self.world.run, self.jobs.values()), strict=True))


def _file(name: str, samples: Samples) -> Path:
    made: Path = getattr(samples, "copy" if name == "upload" else name)(*["up.mp4"][: name == "upload"])
    return made


@pytest.fixture(scope="module", params=KINDS)
def ran(
    request: pytest.FixtureRequest,
    new_world: Callable[..., World],
    _source_server: SourceServer,
    samples: Samples,
) -> Ran:
    return Ran(new_world(request.param), _source_server, samples)


def test_submitting_twice_gives_the_same_jobs(ran: Ran) -> None:
    again = ran.resubmitted.data["jobs"]
    assert [j["created"] for j in ran.submitted.data["jobs"]] == [True] * 6
    assert [(j["job_id"], j["created"]) for j in again] == [(i, False) for i in ran.jobs.values()]


@pytest.mark.parametrize("source", SOURCES)
def test_a_source_becomes_a_finished_job(ran: Ran, source: str) -> None:
    done, world = ran.first[source], ran.world
    assert done.code == 0, done.stdout + done.stderr
    assert done.json["status"] == "ok"
    data = done.data
    assert set(data) == RUN_KEYS
    assert (data["outcome"], data["status"], data["attempt"]) == ("succeeded", "succeeded", 1)
    assert data["job_id"] == ran.jobs[source]
    assert [a["kind"] for a in data["artifacts"]] == ["video", "audio"]

    video, audio = (ran.objects[a["bucket"], a["key"]] for a in data["artifacts"])
    for artifact, stored in zip(data["artifacts"], (video, audio), strict=True):
        assert set(artifact) == ARTIFACT_KEYS
        assert not artifact["reused"]
        assert (artifact["size_bytes"], artifact["sha256"]) == (len(stored.body), stored.sha256)
        assert artifact["content_type"] == stored.content_type
    if source in PROGRESSIVE:
        assert video.body == ran.files[source].read_bytes()
        assert video.content_type == PROGRESSIVE[source]
    else:
        assert video.content_type in MERGED[source]
    assert audio.content_type == "audio/wav"
    with wave.open(io.BytesIO(audio.body)) as track:
        assert (track.getnchannels(), track.getsampwidth(), track.getframerate()) == (1, 2, 16_000)
        assert track.getnframes() / 16_000 == pytest.approx(4.0, abs=0.15)
    _check_rows(world, data, video, audio)


def _check_rows(world: World, data: dict[str, Any], video: Stored, audio: Stored) -> None:
    job, row = world.row("jobs", data["job_id"]), world.row("videos", data["video_id"])
    assert (job["status"], job["ingestion_phase"], job["error_message"]) == ("succeeded", None, None)
    assert job["started_at"]
    assert job["finished_at"]
    original, sound = data["artifacts"]
    assert (row["storage_bucket"], row["storage_key"]) == (original["bucket"], original["key"])
    assert original["key"] == f"videos/{row['id']}/source.mp4"
    assert sound["key"] == f"videos/{row['id']}/audio.wav"
    ref = row["storage_ref"]
    assert set(ref) <= ALLOWED
    assert ref["provider"] in ({"minio", "s3"} if world.is_s3 else {"filesystem"})
    assert (ref["bucket"], ref["key"]) == (original["bucket"], original["key"])
    assert ref["checksum"] == f"sha256:{video.sha256}"
    assert ref["size_bytes"] == len(video.body)
    assert datetime.fromisoformat(ref["created_at"]).tzinfo
    assert row["duration_ms"] == pytest.approx(4000, abs=200)
    assert row["title"]
    assert row["metadata"]["ingest"]

    [run] = world.runs(data["job_id"])
    assert (run["attempt"], run["status"], run["error_code"]) == (1, "succeeded", None)
    assert run["finished_at"]
    artifacts = world.query("SELECT * FROM ingest_artifacts WHERE video_id = ?", row["id"])
    assert {(a["kind"], a["state"], a["sha256"]) for a in artifacts} == {
        ("video", "stored", video.sha256),
        ("audio", "stored", audio.sha256),
    }
    events = world.events(data["job_id"])
    assert [e["event_type"] for e in events] == [
        "ingestion.job.submitted",
        "ingestion.run.started",
        *["ingestion.phase.started", "ingestion.phase.completed"] * 3,
        "ingestion.job.succeeded",
    ]
    phases = [e["payload"] for e in events if e["event_type"] == "ingestion.phase.completed"]
    assert [p["phase"] for p in phases] == ["downloading", "processing", "storing"]
    assert all(p["duration_s"] >= 0 for p in phases)
    assert phases[2]["bytes"] == len(video.body) + len(audio.body)
    assert phases[0]["bytes"] > 0


def test_nothing_is_left_over_and_nothing_else_was_touched(ran: Ran) -> None:
    assert ran.leftovers == []
    assert len(ran.objects) == 12
    for table, rows in ran.before.items():
        assert set(rows) <= set(ran.dump[table]), f"rows of {table} that were there before were changed"
    assert not ran.world.query("SELECT id FROM jobs WHERE type = 'transcription'")


@pytest.mark.parametrize("source", SOURCES)
def test_running_it_again_is_unchanged(ran: Ran, source: str) -> None:
    again = ran.again[source]
    assert again.code == 0, again.stdout + again.stderr
    assert (again.data["outcome"], again.data["status"]) == ("unchanged", "succeeded")
    assert again.data["duration_s"] < 1.0
    first = {(a["key"], a["sha256"], True) for a in ran.first[source].data["artifacts"]}
    assert {(a["key"], a["sha256"], a["reused"]) for a in again.data["artifacts"]} == first


def test_running_all_again_asked_and_wrote_nothing(ran: Ran) -> None:
    assert ran.new_requests == 0
    assert ran.dump_after == ran.dump
    assert ran.store_state_after == ran.store_state
    assert ran.world.leftovers() == []


@pytest.mark.parametrize("kind", ["sqlite", "platform"])
def test_hand_off_job_is_created_once(
    kind: str, new_world: Callable[..., World], source_server: SourceServer, samples: Samples
) -> None:
    world = new_world(kind)
    [job_id] = world.submit(source_server.url(samples.mp4().name + "?handoff"))
    done = world.run(job_id, INGESTCTL_HAND_OFF="true")
    assert done.code == 0, done.stdout
    assert world.run(job_id, INGESTCTL_HAND_OFF="true").data["outcome"] == "unchanged"
    world.query("UPDATE jobs SET status = 'queued' WHERE id = ?", job_id)
    assert world.run(job_id, INGESTCTL_HAND_OFF="true").data["outcome"] == "succeeded"
    [follow_up] = world.query("SELECT * FROM jobs WHERE type = 'transcription'")
    audio = next(a for a in done.data["artifacts"] if a["kind"] == "audio")
    assert follow_up["status"] == "queued"
    assert follow_up["video_id"] == done.data["video_id"]
    key = f"transcription:{done.data['video_id']}:{audio['bucket']}:{audio['key']}"
    assert follow_up["idempotency_key"] == key
    ref = follow_up["payload"]["audio_storage_ref"]
    assert set(ref) <= ALLOWED
    assert (ref["key"], ref["checksum"]) == (audio["key"], f"sha256:{audio['sha256']}")


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    return new_world("platform")


class TestPlatformRows:
    """Rows that the platform's other services wrote, run as they are."""

    def _job(
        self, world: World, name: str, source: tuple[str, str], payload: Any, status: str = "queued"
    ) -> str:
        world.query("INSERT INTO videos (id, source_type, source_uri) VALUES (?, ?, ?)", f"v-{name}", *source)
        text = None if payload is None else json.dumps(payload)
        world.query(
            "INSERT INTO jobs (id, video_id, type, status, payload) VALUES (?, ?, 'ingest', ?, ?::jsonb)",
            name, f"v-{name}", status, text,
        )  # fmt: skip
        return name

    @pytest.mark.parametrize(("payload", "status"), [(None, "pending"), ({}, "queued")])
    def test_rows_without_payload_fall_back_to_the_video(
        self, world: World, source_server: SourceServer, samples: Samples, payload: Any, status: str
    ) -> None:
        url = source_server.url(samples.mp4().name + f"?{status}")
        job = self._job(world, f"bare-{status}", ("external_url", url), payload, status)
        listed = world.cli("jobs", "--status", "pending").data["jobs"]
        assert job in {j["job_id"] for j in listed}
        done = world.run(job)
        assert done.code == 0, done.stdout
        assert world.row("jobs", job)["status"] == "succeeded"
        key = {a["kind"]: (a["bucket"], a["key"]) for a in done.data["artifacts"]}["video"]
        assert key == (world.bucket("VIDEO"), f"videos/v-{job}/source.mp4")

    def test_upload_named_by_object_key_with_its_own_places(self, world: World, samples: Samples) -> None:
        key = "incoming/camera 1/ü.mp4"
        world._s3.put_object(Bucket=world.bucket("UPLOADS"), Key=key, Body=samples.mp4().read_bytes())
        places = {
            "video": {"bucket": world.bucket("AUDIO"), "object_key": "elsewhere/original"},
            "audio": {"bucket": world.bucket("AUDIO"), "object_key": "elsewhere/sound.wav", "format": "wav"},
        }
        source = {"kind": "upload", "object_key": key, "future": 1}
        payload = {"type": "video_ingestion", "version": "2.0", "video_id": "v-by-key", "source": source,
                   "artifacts": places, "metadata": None, "later": [1]}  # fmt: skip
        job = self._job(world, "by-key", ("upload", key), payload)
        done = world.run(job)
        assert done.code == 0, done.stdout
        objects = world.objects()
        assert objects[world.bucket("AUDIO"), "elsewhere/original"].body == samples.mp4().read_bytes()
        assert (world.bucket("AUDIO"), "elsewhere/sound.wav") in objects
        assert world.row("jobs", job)["payload"] == payload

    @pytest.mark.parametrize(
        ("job", "code"),
        [("plat-transcribe", 14), ("plat-diarize", 14), ("plat-index", 14), ("plat-odd", 14), ("nope", 10)],
    )
    def test_what_is_not_ours_is_refused(self, world: World, job: str, code: int) -> None:
        before = world.dump()
        done = world.run(job)
        assert done.code == code, done.stdout
        assert job in done.error["message"]
        assert world.dump() == before

    @pytest.mark.parametrize("job", ["plat-text", "plat-list"])
    def test_rows_with_unreadable_payloads_end_with_a_clear_failure(self, world: World, job: str) -> None:
        done = world.run(job)
        assert done.code in (10, 15, 20), done.stdout
        assert done.data["outcome"] == "failed"
        assert world.row("jobs", job)["error_message"]
        assert world.runs(job)[-1]["error_code"] == done.data["diagnosis"]["cause"]
