"""What goes wrong: each fault has its cause, its exit code and its stored diagnosis, and heals."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.worlds import Completed, World
    from tests.media_samples import Samples
    from tests.services.source import SourceServer


@dataclass(frozen=True)
class Fault:
    """A source's fault, and what must be said of it."""

    name: str
    cause: str
    code: int
    retryable: str
    said: str = ""


SOURCE_FAULTS = [
    Fault("403", "download_blocked", 15, "after-fix", "403"),
    Fault("404", "invalid_source", 15, "no", "404"),
    Fault("429", "rate_limited", 20, "yes", "429"),
    Fault("429=1", "rate_limited", 20, "yes", "429"),
    Fault("429=3600", "rate_limited", 20, "yes", "429"),
    Fault("500", "download_timeout", 20, "yes", "500"),
    Fault("503", "download_timeout", 20, "yes", "503"),
    Fault("html", "invalid_source", 15, "no"),
    Fault("htmlasmp4", "not_media", 15, "no"),
]


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    world = new_world("sqlite")
    world.env |= {"INGESTCTL_RETRY_ATTEMPTS": "2", "INGESTCTL_SOCKET_TIMEOUT_SECONDS": "1"}
    return world


@pytest.fixture(scope="module")
def s3_world(new_world: Callable[..., World]) -> World:
    return new_world("postgres")


@pytest.fixture
def server(source_server: SourceServer) -> Iterator[SourceServer]:
    yield source_server
    source_server.rules.clear()


def _check_failed(
    world: World, job_id: str, done: Completed, cause: str, code: int, retryable: str
) -> dict[str, Any]:
    """The envelope, the run and the job all say the same; nothing is left over. Returns the diagnosis."""
    assert done.code == code, done.stdout + done.stderr
    diagnosis: dict[str, Any] = done.data["diagnosis"]
    assert (done.data["outcome"], done.data["status"]) == ("failed", "failed")
    assert (diagnosis["cause"], diagnosis["retryable"]) == (cause, retryable)
    assert diagnosis["title"]
    assert diagnosis["guidance"]
    assert job_id in diagnosis["next"] or "JOB" not in diagnosis["next"]
    job, run = world.row("jobs", job_id), world.runs(job_id)[-1]
    assert (job["status"], job["ingestion_phase"]) == ("failed", None)
    assert job["error_message"] == run["error_message"] == done.error["message"]
    assert (run["status"], run["error_code"]) == ("failed", cause)
    assert run["error_details"]["retryable"] == retryable
    assert run["error_details"]["evidence"]
    event = world.events(job_id)[-1]
    assert event["event_type"] == "ingestion.job.failed"
    assert world.leftovers() == []
    return diagnosis


def _check_heals(world: World, job_id: str, **env: str) -> Completed:
    done = world.run(job_id, **env)
    assert done.code == 0, done.stdout + done.stderr
    job = world.row("jobs", job_id)
    assert (job["status"], job["error_message"]) == ("succeeded", None)
    assert world.leftovers() == []
    return done


@pytest.mark.parametrize("fault", SOURCE_FAULTS, ids=lambda f: f.name)
def test_source(world: World, server: SourceServer, samples: Samples, fault: Fault) -> None:
    name = f"f{fault.name.replace('=', '-')}.mp4"
    shutil.copy(samples.mp4(), samples.folder / name)
    server.rules[name] = fault.name
    [job_id] = world.submit(server.url(name) + "?token=s3cr3t-query")
    done = world.run(job_id)
    diagnosis = _check_failed(world, job_id, done, fault.cause, fault.code, fault.retryable)
    assert fault.said in diagnosis["evidence"]
    assert "s3cr3t-query" not in done.stdout + done.stderr + str(world.runs(job_id)) + str(
        world.events(job_id)[1:]
    )
    if fault.name == "429=3600":
        assert _retry_after(world, job_id) == 3600
        assert done.seconds < 10
    if fault.retryable == "yes" and fault.name != "429=3600":
        notes = [entry["event"] for entry in world.runs(job_id)[-1]["metadata"]["log"]]
        assert "fetch_retry" in notes
    inspected = world.cli("inspect", job_id).data
    assert inspected["diagnosis"]["cause"] == fault.cause
    assert job_id in {j["job_id"] for j in world.cli("jobs", "--cause", fault.cause).data["jobs"]}
    server.rules.clear()
    _check_heals(world, job_id)


def _retry_after(world: World, job_id: str) -> Any:
    return world.runs(job_id)[-1]["error_details"]["retry_after_s"]


@pytest.mark.parametrize(
    ("bad", "cause", "code", "retryable"),
    [
        ("silent", "audio_extraction_failed", 15, "no"),
        ("random", "not_media", 15, "no"),
        ("cut", "audio_extraction_failed", 20, "yes"),
        ("empty", "download_timeout", 20, "yes"),
    ],
)
def test_file(
    world: World, server: SourceServer, samples: Samples, bad: str, cause: str, code: int, retryable: str
) -> None:
    path = samples.folder / f"bad-{bad}.mp4"
    if bad == "silent":
        shutil.copy(samples.silent(), path)
    elif bad == "cut":
        samples.damaged(path.name, samples.mp4(), "cut")
    else:
        path.write_bytes(os.urandom(50_000) if bad == "random" else b"")
    [job_id] = world.submit(server.url(path.name))
    done = world.run(job_id)
    _check_failed(world, job_id, done, cause, code, retryable)
    shutil.copy(samples.mp4(), path)
    _check_heals(world, job_id)


def test_audio_only_is_refused_unless_it_is_wanted(
    world: World, server: SourceServer, samples: Samples
) -> None:
    [job_id] = world.submit(server.url(samples.audio_only().name))
    done = world.run(job_id)
    _check_failed(world, job_id, done, "invalid_source", 15, "after-fix")
    assert "INGESTCTL_ACCEPT_AUDIO_ONLY" in done.error["hint"]
    healed = _check_heals(world, job_id, INGESTCTL_ACCEPT_AUDIO_ONLY="true")
    assert healed.data["artifacts"][0]["content_type"].startswith("audio/")


def test_scratch_is_full(world: World, server: SourceServer, samples: Samples) -> None:
    [job_id] = world.submit(server.url(samples.mp4().name + "?full"))
    done = world.run(job_id, INGESTCTL_MIN_FREE_BYTES="900TB")
    _check_failed(world, job_id, done, "disk_full", 20, "after-fix")
    assert server.count() == 0
    _check_heals(world, job_id)


@pytest.mark.parametrize(
    ("env", "code", "error"),
    [
        ({"S3_SECRET_KEY": "wrong-secret-value"}, 13, "storage_refused"),
        ({"S3_ENDPOINT": "http://127.0.0.1:9"}, 20, "storage_unavailable"),
    ],
    ids=["credentials", "down"],
)
def test_storage(
    s3_world: World, server: SourceServer, samples: Samples, env: dict[str, str], code: int, error: str
) -> None:
    [job_id] = s3_world.submit(server.url(samples.mp4().name + f"?{error}"))
    done = s3_world.run(job_id, **env)
    _check_failed(s3_world, job_id, done, "storage_error", code, "after-fix" if code == 13 else "yes")
    assert done.error["code"] == error
    assert done.error["hint"]
    assert "wrong-secret-value" not in done.stdout + done.stderr
    assert server.count() == 0, "the source was fetched for a store that takes nothing"
    _check_heals(s3_world, job_id)


def test_missing_bucket(new_world: Callable[..., World], server: SourceServer, samples: Samples) -> None:
    world = new_world("postgres", ready=False)
    assert world.cli("db", "upgrade").code == 0
    [job_id] = world.submit(server.url(samples.mp4().name + "?bucket"))
    done = world.run(job_id)
    assert done.code == 13, done.stdout
    assert done.data["diagnosis"]["cause"] == "storage_error"
    assert done.error["code"] == "bucket_missing"
    assert world.bucket("VIDEO") in done.error["message"]
    assert "ingestctl init" in done.error["hint"]
    assert world.runs(job_id)[-1]["error_code"] == "storage_error"
    assert world.cli("init").code == 0
    _check_heals(world, job_id)
