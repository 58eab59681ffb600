"""One owner, whatever happens to it: killed, told to stop, paused, canceled, or met by another."""

from __future__ import annotations

import signal
import sqlite3
import time
from typing import TYPE_CHECKING

import pytest

from tests.acceptance.hooks import held_publish, real_time_ffmpeg
from tests.acceptance.worlds import wait_until
from tests.services.fault_proxy import FaultProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.acceptance.worlds import Completed, Worker, World
    from tests.media_samples import Samples
    from tests.services.s3 import S3Server
    from tests.services.source import SourceServer

SLOW = "slow=30000"
KILLS = [
    ("sqlite", "downloading"),
    ("postgres", "downloading"),
    ("sqlite", "processing"),
    ("postgres", "storing-before"),
    ("postgres", "storing-after"),
]
STOPS = [("postgres", "downloading"), ("sqlite", "processing"), ("postgres", "storing-before")]


class Stage:
    """Two worlds, a link to the store, a slow ffmpeg, and a source that is slow on demand."""

    def __init__(
        self, worlds: dict[str, World], link: FaultProxy, ffmpeg: Path, server: SourceServer, samples: Samples
    ) -> None:
        self.worlds = worlds
        self.link = link
        self.ffmpeg = ffmpeg
        self.server = server
        self.video = samples.long_mp4(20)
        self._count = 0

    def submit(self, world: World, count: int = 1) -> list[str]:
        self._count += count
        numbers = range(self._count - count, self._count)
        return world.submit(*(self.server.url(f"{self.video.name}?{world.kind}{n}") for n in numbers))

    def held(self, world: World, hold: str) -> tuple[str, Worker]:
        """A job whose worker is in the middle of a phase, and stays there for a while."""
        [job_id] = self.submit(world)
        env = {}
        if hold == "downloading":
            self.server.rules[self.video.name] = SLOW
        if hold == "processing":
            env["INGESTCTL_FFMPEG"] = str(self.ffmpeg)
        if world.is_s3:
            env["S3_ENDPOINT"] = self.link.endpoint
        kept = {"storing-before": "stall", "storing-after": "mute"}.get(hold)
        held = held_publish(self.link, kept) if kept else None
        worker = world.start("run", "--job-id", job_id, "--output", "json", env=env)
        world.wait_for_phase(worker, job_id, hold.partition("-")[0])
        if held:
            assert held.wait(20)
            if hold == "storing-after":  # the request is on its way; the store still has to do it
                video = world.row("jobs", job_id)["video_id"]
                wait_until(lambda: any(video in key for _, key in world.objects()), 20, "never published")
        elif hold == "downloading":
            scratch = world.home / "scratch"
            wait_until(lambda: any(scratch.glob("run-*/[!.]*")), 20, "no download began")
        else:
            wait_until(lambda: "ffmpeg" in str(world.processes()), 20, "no ffmpeg was started")
        return job_id, worker

    def free(self) -> None:
        self.server.rules.clear()
        self.link.watch = lambda _: None


@pytest.fixture(scope="module")
def _stage(
    new_world: Callable[..., World],
    s3_server: S3Server,
    _source_server: SourceServer,
    samples: Samples,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    link = FaultProxy(s3_server.port)
    worlds = {kind: new_world(kind) for kind in ("sqlite", "postgres")}
    ffmpeg = real_time_ffmpeg(tmp_path_factory.mktemp("tools") / "slow")
    yield Stage(worlds, link, ffmpeg, _source_server, samples)
    link.close()


@pytest.fixture
def stage(_stage: Stage) -> Iterator[Stage]:
    yield _stage
    _stage.free()
    for world in _stage.worlds.values():
        world.close()


def _run_when_free(world: World, job_id: str) -> Completed:
    """Run as an operator would: again while another owner's lease lives."""
    deadline = time.monotonic() + 15
    while (done := world.run(job_id)).code == 21 and time.monotonic() < deadline:
        time.sleep(0.3)
    return done


def _pause(world: World, worker: Worker) -> None:
    """SIGSTOP between two writes: one paused within a write keeps SQLite's lock, and nobody can take over."""
    for _ in range(50):
        worker.signal(signal.SIGSTOP)
        try:
            world.query("UPDATE jobs SET id = id WHERE id = ''", timeout=0.2)
        except sqlite3.OperationalError:
            worker.signal(signal.SIGCONT)
            time.sleep(0.01)
        else:
            return
    raise AssertionError("never found it between two writes")


def _check_whole(world: World, job_id: str, done: Completed, video: Path) -> None:
    assert done.code == 0, done.stdout + done.stderr
    job = world.row("jobs", job_id)
    assert (job["status"], job["ingestion_phase"], job["error_message"]) == ("succeeded", None, None)
    mine = {key: o for key, o in world.objects().items() if job["video_id"] in key[1]}
    recorded = {(a["bucket"], a["key"]): a["sha256"] for a in done.data["artifacts"]}
    assert {key: o.sha256 for key, o in mine.items()} == recorded
    assert video.read_bytes() in [o.body for o in mine.values()]
    assert world.leftovers() == []


@pytest.mark.parametrize(("kind", "hold"), KILLS)
def test_after_kill_the_next_run_ends_whole(stage: Stage, kind: str, hold: str) -> None:
    world = stage.worlds[kind]
    job_id, worker = stage.held(world, hold)
    worker.kill()
    stage.free()
    world.await_no_process()
    done = _run_when_free(world, job_id)
    _check_whole(world, job_id, done, stage.video)
    dead, alive = world.runs(job_id)
    assert (dead["status"], dead["error_code"]) == ("failed", "worker_crashed")
    assert dead["finished_at"]
    assert (alive["attempt"], alive["status"]) == (2, "succeeded")
    assert "ingestion.run.expired" in [e["event_type"] for e in world.events(job_id)]
    if hold == "storing-after":  # the object was whole already: adopted, not stored a second time
        assert done.data["artifacts"][0]["reused"]


@pytest.mark.parametrize(("kind", "hold"), STOPS)
def test_sigterm_gives_the_job_back_in_time(stage: Stage, kind: str, hold: str) -> None:
    world = stage.worlds[kind]
    job_id, worker = stage.held(world, hold)
    asked_at = time.monotonic()
    worker.signal(signal.SIGTERM)
    ended = worker.done(15)
    assert time.monotonic() - asked_at < 10
    assert ended.code == 143, ended.stdout + ended.stderr
    world.await_no_process(0.5)
    assert list((world.home / "scratch").glob("*")) == []
    job, [run] = world.row("jobs", job_id), world.runs(job_id)
    assert (job["status"], job["ingestion_phase"]) == ("queued", None)
    assert (run["status"], run["error_code"]) == ("canceled", "interrupted")
    assert world.events(job_id)[-1]["event_type"] == "ingestion.job.released"
    stage.free()
    _check_whole(world, job_id, world.run(job_id), stage.video)


def test_sigint_is_130(stage: Stage) -> None:
    world = stage.worlds["sqlite"]
    job_id, worker = stage.held(world, "downloading")
    worker.signal(signal.SIGINT)
    ended = worker.done(15)
    assert ended.code == 130
    assert ended.data["outcome"] == "interrupted"
    assert ended.error["code"] == "interrupted"
    assert world.row("jobs", job_id)["status"] == "queued"
    assert world.leftovers() == []


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_the_second_of_two_is_turned_away(stage: Stage, kind: str) -> None:
    world = stage.worlds[kind]
    job_id, worker = stage.held(world, "downloading")
    nobody = world.run("no-such-job")
    second = world.run(job_id)
    assert second.code == 21, second.stdout
    assert second.seconds < nobody.seconds + 2  # however long a start takes on a busy machine
    assert second.error["code"] == "busy"
    assert second.error["job_id"] == job_id
    assert f"ingestctl inspect {job_id}" in second.error["hint"]
    assert (second.data["job_id"], second.data["outcome"]) == (job_id, "busy")
    worker.signal(signal.SIGTERM)
    worker.done(15)
    stage.free()
    stage.server.rules[stage.video.name] = "slow=400000"
    both = [world.start("run", "--job-id", job_id, "--output", "json") for _ in range(2)]
    ended = sorted((w.done() for w in both), key=lambda c: c.code)
    assert [c.code for c in ended] == [0, 21]
    _check_whole(world, job_id, ended[0], stage.video)
    assert [r["status"] for r in world.runs(job_id)] == ["canceled", "succeeded"]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_paused_worker_wakes_after_a_takeover_and_changes_nothing(stage: Stage, kind: str) -> None:
    world = stage.worlds[kind]
    job_id, worker = stage.held(world, "storing-before" if world.is_s3 else "downloading")
    _pause(world, worker)
    stage.free()
    done = _run_when_free(world, job_id)
    assert done.code == 0, done.stdout + done.stderr
    dump, state = world.dump(), world.store_state()
    worker.signal(signal.SIGCONT)
    late = worker.done(20)
    assert late.code == 21, late.stdout + late.stderr
    assert (world.dump(), world.store_state()) == (dump, state)
    _check_whole(world, job_id, done, stage.video)


def test_canceled_by_the_orchestrator(stage: Stage) -> None:
    world = stage.worlds["postgres"]
    job_id, worker = stage.held(world, "downloading")
    world.query("UPDATE jobs SET status = 'canceled', finished_at = now() WHERE id = ?", job_id)
    before = (world.row("jobs", job_id), world.events(job_id))
    ended = worker.done(20)
    assert (ended.code, ended.error["code"]) == (14, "canceled"), ended.stdout
    assert (ended.data["status"], ended.data["outcome"]) == ("canceled", "interrupted")
    assert (world.row("jobs", job_id), world.events(job_id)) == before
    assert not [key for key in world.objects() if before[0]["video_id"] in key[1]]
    assert world.leftovers() == []
    stage.free()
    refused = world.run(job_id)
    assert refused.code == 14
    assert "canceled" in refused.error["message"]


def test_pending_takes_what_is_queued_and_no_more_than_it_may(
    stage: Stage, new_world: Callable[..., World]
) -> None:
    world = new_world("sqlite")
    stage.server.rules[stage.video.name] = "slow=700000"
    jobs = stage.submit(world, 4)
    timed = world.cli("run", "--pending", "--max-minutes", "0.01")
    assert timed.code == 0, timed.stdout
    assert timed.data["stopped"] == "max-minutes"
    assert timed.data["totals"]["succeeded"] == 1
    assert timed.data["runs"][0]["job_id"] == jobs[0]
    limited = world.cli("run", "--pending", "--concurrency", "2", "--limit", "2")
    assert limited.code == 0, limited.stdout
    assert {r["job_id"] for r in limited.data["runs"]} == set(jobs[1:3])
    assert limited.data["stopped"] == "limit"
    starts = [
        next(e["created_at"] for e in world.events(j) if "run.started" in e["event_type"]) for j in jobs[1:3]
    ]
    ends = [world.row("jobs", j)["finished_at"] for j in jobs[1:3]]
    assert max(starts) < min(ends), "the two did not run at the same time"
    rest = world.cli("run", "--pending", "--concurrency", "2")
    assert [r["job_id"] for r in rest.data["runs"]] == jobs[3:]
    assert rest.data["stopped"] is None
    assert world.cli("run", "--pending").data["totals"]["runs"] == 0
    assert world.leftovers() == []
