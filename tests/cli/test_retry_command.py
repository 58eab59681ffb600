"""retry as it is typed: confirmation, exit codes, --run, the platform's API, a terminal, cron."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from ingestctl.db.base import RunError
from tests.acceptance.conftest import new_world as new_world
from tests.contracts.jobstore_world import World as Inside
from tests.contracts.jobstore_world import new_job
from tests.integration.test_api import platform as platform

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World
    from tests.integration.test_api import Platform
    from tests.services.source import SourceServer


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """Three YouTube jobs (their source is never asked) that failed: two may be retried, one may not."""
    made = new_world("sqlite")
    inside = Inside(f"sqlite:///{made.home / 'ingestctl.db'}")
    from ingestctl.domain.source import source_of_url

    for name, cause in (("a", "download_timeout"), ("b", "download_timeout"), ("c", "invalid_source")):
        inside.store.submit(new_job(f"job-{name}", of=source_of_url(f"https://youtu.be/{name}")))
        inside.store.fail(inside.claim(f"job-{name}").lease, RunError(cause, cause))
    inside.close()
    return made


def statuses(world: World) -> list[str]:
    return [row["status"] for row in world.query("SELECT status FROM jobs ORDER BY id")]


def test_many_are_previewed_confirmed_and_partly_refused(world: World) -> None:
    before = world.dump()
    seen = world.cli("retry", "--status", "failed", "--dry-run")
    assert (seen.code, seen.data["chosen"], seen.data["matching"]) == (0, 3, 3)
    assert seen.data["causes"] == {"download_timeout": 2, "invalid_source": 1}
    refused = world.cli("retry", "--status", "failed")
    assert (refused.code, refused.error["code"]) == (12, "confirmation_needed")
    assert "--confirm 3" in refused.error["hint"]
    assert world.cli("retry", "--status", "failed", "--confirm", "2").code == 12
    assert world.dump() == before
    done = world.cli("retry", "--status", "failed", "--confirm", "3", "--reason", "outage over")
    assert (done.code, done.json["status"]) == (16, "partial")
    assert [r["outcome"] for r in done.data["results"]] == ["requeued", "requeued", "refused"]
    assert done.error["job_id"] == "job-c"
    assert statuses(world) == ["queued", "queued", "failed"]
    assert world.events("job-a")[-1]["payload"]["reason"] == "outage over"


def test_a_typed_count_confirms_on_a_terminal_and_another_does_not(world: World) -> None:
    def typed(answer: str) -> tuple[int, bytes]:
        leader, follower = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "ingestctl", "retry", "--cause", "download_timeout"],
            env={**world.env, "TERM": "dumb"}, cwd=world.home,
            stdin=follower, stdout=follower, stderr=follower, start_new_session=True,
        )  # fmt: skip
        os.close(follower)
        shown = b""
        try:
            while b"Type 2 to retry" not in shown:
                shown += os.read(leader, 4096)
            os.write(leader, answer.encode() + b"\n")
            while chunk := os.read(leader, 4096):
                shown += chunk
        except OSError:  # the other end closed
            pass
        os.close(leader)
        return process.wait(30), shown

    assert typed("yes")[0] == 12
    assert statuses(world) == ["failed"] * 3
    code, shown = typed("2")
    assert (code, statuses(world)) == (0, ["queued", "queued", "failed"]), shown


def test_one_job_twice_and_in_cron(world: World) -> None:
    done = world.cli("retry", "job-a", "--quiet", text=True)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    assert world.cli("retry", "job-a").data["outcome"] == "unchanged"
    refused = world.cli("retry", "job-c", "--quiet", text=True)
    assert refused.code == 14
    assert "cause\tfail" in refused.stdout
    assert "not retried" in refused.stderr
    assert world.cli("retry", "job-c", "--anyway", "--dry-run").data["outcome"] == "allowed"
    assert statuses(world) == ["queued", "failed", "failed"]


def test_production_wants_a_reason(world: World) -> None:
    assert world.cli("retry", "job-a", env={"ENV": "production"}).code == 2
    assert statuses(world) == ["failed"] * 3
    assert world.cli("retry", "job-a", "--reason", "r", env={"ENV": "production"}).code == 0


@pytest.mark.parametrize(
    "words",
    [
        (),
        ("job-a", "--status", "failed"),
        ("job-a", "--run", "--dry-run"),
        ("job-a", "--run", "--via", "api"),
    ],
)
def test_words_that_make_no_sense(world: World, words: tuple[str, ...]) -> None:
    assert world.cli("retry", *words).code == 2
    assert statuses(world) == ["failed"] * 3


def test_run_now_ends_as_run_ends(new_world: Callable[..., World], source_server: SourceServer) -> None:
    world = new_world("sqlite")
    [job] = world.submit(source_server.url("nowhere.mp4"))
    assert world.run(job).code == 15
    done = world.cli("retry", job, "--anyway", "--run", "--reason", "again")
    assert (done.code, done.data["outcome"], done.data["run"]["outcome"]) == (15, "requeued", "failed")
    assert len(world.runs(job)) == 2


def test_through_the_api_once(world: World, platform: Platform) -> None:
    env = {"INGESTCTL_API_URL": platform.url, "INGESTCTL_API_KEY": "api-key-value"}
    platform.faults = ["drop"]
    done = world.cli("retry", "job-a", "--via", "api", "--reason", "why not", env=env)
    # The reply to the first request was lost: what the second found is the first's job.
    assert (done.code, done.data["submitted"]["job_id"]) == (0, "j0")
    assert len(platform.answers) == 1
    assert done.data["outcome"] == "resubmitted"
    assert world.cli("retry", "job-a", "--via", "api", env=env).data["outcome"] == "unchanged"
    assert len(platform.answers) == 1
    events = world.cli("inspect", "job-a").data["events"]
    [said] = [e["payload"] for e in events if e["event_type"] == "ingestion.job.resubmitted"]
    assert (said["from"], said["as"], said["reason"]) == ("failed", "j0", "why not")
    assert said["details"]["checks"]["owner"] == "pass"
    refused = world.cli("retry", "job-c", "--via", "api", env=env)
    assert (refused.code, len(platform.answers)) == (14, 1)
    platform.faults = [(401, {"error": {"code": "unauthorized", "message": "no"}})]
    denied = world.cli("retry", "job-b", "--via", "api", env=env)
    assert (denied.code, denied.data["outcome"]) == (13, "failed")
    assert "api-key-value" not in denied.stdout + denied.stderr
    assert world.cli("retry", "job-a", "--via", "api").code == 13
    assert statuses(world) == ["failed"] * 3


def test_a_round_that_is_interrupted_says_what_it_did(world: World) -> None:
    worker = world.start(
        "retry", "--cause", "download_timeout", "--confirm", "2", "--per-minute", "1", "--output", "json"
    )
    deadline = time.monotonic() + 60
    while "queued" not in statuses(world):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    worker.signal(15)  # type: ignore[arg-type]
    done = worker.done()
    assert done.code == 143
    assert [r["outcome"] for r in done.data["results"]] == ["requeued"]
    assert statuses(world).count("queued") == 1
