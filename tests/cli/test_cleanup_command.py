"""The cleanup command as it is typed: nothing is done that was not confirmed, and why is always written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from tests.integration.cleanup_world import BROKEN, VIDEO, Site, folder_place, key

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.domain.job import Job


@dataclass
class Desk:
    """A folder with one job whose audio is broken, and the program to type at."""

    site: Site
    job: Job
    folder: Path

    def type(self, *words: str, env: str = "local") -> tuple[int, dict[str, Any]]:
        done = self._run(*words, "--output", "json", env=env)
        return done.returncode, json.loads(done.stdout)

    def say(self, *words: str) -> str:
        """Everything a person is told."""
        done = self._run(*words, "--output", "table", env="local")
        return done.stdout + done.stderr

    def _run(self, *words: str, env: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ingestctl", *words]
        clean = {k: v for k, v in os.environ.items() if not k.startswith(("INGESTCTL_", "S3_", "DATABASE_"))}
        home = {"INGESTCTL_HOME": str(self.folder), "DATABASE_URL": self.site.place.world.url, "ENV": env}
        store = {"INGESTCTL_STORAGE_URL": (self.folder / "objects").as_uri()}
        return subprocess.run(
            command,
            env={**clean, **home, **store},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            check=False,
        )


@pytest.fixture
def desk(sqlite_template: Path, tmp_path: Path) -> Iterator[Desk]:
    site = Site(folder_place(sqlite_template, tmp_path))
    yield Desk(site, site.with_bad_audio(), tmp_path)
    site.place.world.close()


def test_nothing_is_done_without_the_right_word(desk: Desk) -> None:
    job, before = desk.job.id, desk.site.objects()
    wrong = (("--confirm", "1"), ("--confirm", job[:-1]), ())
    for words in wrong:
        code, answer = desk.type("cleanup", job, *words)
        assert (code, answer["errors"][0]["code"]) == (12, "confirmation_needed")
    code, answer = desk.type("cleanup", job, "--dry-run")
    assert (code, answer["data"]["dry_run"], answer["data"]["applied"]) == (0, True, [])
    code, answer = desk.type("cleanup", "--status", "completed", "--confirm", job)
    assert code == 12, "a batch is confirmed by its number"
    code, answer = desk.type("cleanup", "--status", "completed", "--confirm", "1", "--max-delete", "0")
    assert code == 14
    assert desk.type("cleanup")[0] == 2
    assert desk.site.objects() == before
    assert desk.site.store.incidents() == []


def test_production_asks_why(desk: Desk) -> None:
    before = desk.site.objects()
    code, answer = desk.type("cleanup", desk.job.id, "--confirm", desk.job.id, env="production")
    assert code == 2
    assert "--reason" in answer["errors"][0]["message"]
    assert desk.site.objects() == before
    code, answer = desk.type(
        "cleanup", desk.job.id, "--confirm", desk.job.id, "--reason", "bit rot", env="production"
    )
    assert (code, answer["data"]["reset"]) == (0, True)
    code, answer = desk.type("incidents", "show", answer["data"]["incident"])
    assert answer["data"]["incident"]["reason"] == "bit rot"


def test_a_plan_is_reviewed_applied_and_undone(desk: Desk) -> None:
    job, file = desk.job.id, desk.folder / "plan.json"
    code, answer = desk.type("cleanup", job, "--plan-out", str(file))
    assert (code, answer["data"]["plan"]["fingerprint"]) == (0, json.loads(file.read_text())["fingerprint"])
    assert desk.type("cleanup", "--apply", str(file))[0] == 12
    changed = desk.folder / "changed.json"
    changed.write_text(file.read_text().replace('"purge": false', '"purge": true'))
    assert desk.type("cleanup", "--apply", str(changed), "--confirm", job)[0] == 14
    assert desk.site.objects()[key(desk.job, "audio.wav")] == BROKEN
    code, answer = desk.type("cleanup", "--apply", str(file), "--confirm", job)
    assert code == 0
    assert desk.site.objects().get(key(desk.job, "audio.wav")) is None
    told = desk.say("cleanup", "--apply", str(file), "--confirm", job)
    assert f"unchanged: applied before (incident {answer['data']['incident']})" in told
    assert "quarantine" not in told, "the old plan's actions are not this command's"
    code, undone = desk.type("cleanup", "--undo", answer["data"]["incident"][:8])
    assert (code, undone["data"]["applied"][0]["outcome"]) == (0, "restored")
    assert desk.site.status(desk.job) == "succeeded"
    code, again = desk.type("cleanup", "--undo", answer["data"]["incident"])
    assert (code, again["data"]["unchanged"], again["data"]["applied"]) == (0, True, [])
    told = desk.say("cleanup", "--undo", answer["data"]["incident"])
    assert f"unchanged: put back before (incident {answer['data']['incident']})" in told
    assert desk.site.objects() == {key(desk.job, "source.mp4"): VIDEO, key(desk.job, "audio.wav"): BROKEN}


@pytest.mark.parametrize(
    "words",
    [
        ("--apply", "plan.json", "--purge"),
        ("--apply", "plan.json", "--no-reset"),
        ("--apply", "plan.json", "--level", "decode"),
        ("--apply", "plan.json", "--include-valid"),
        ("--apply", "plan.json", "--limit", "5"),
        ("--apply", "plan.json", "--status", "failed"),
        ("--apply", "plan.json", "--plan-out", "other.json"),
        ("--undo", "i", "--purge"),
        ("--undo", "i", "--max-delete", "3"),
        ("--expire", "2999-01-01"),
    ],
)
def test_what_would_be_ignored_is_a_usage_error(desk: Desk, words: tuple[str, ...]) -> None:
    assert desk.type("cleanup", *words)[0] == 2


def test_a_dry_run_ends_as_the_real_run_would(desk: Desk) -> None:
    """Stale: 14; over the cap: a warning; refused: 14 or 20, and never "nothing to clean up"."""
    job, file, site = desk.job, desk.folder / "plan.json", desk.site
    code, answer = desk.type("cleanup", job.id, "--dry-run", "--max-delete", "0")
    assert (code, "--max-delete is 0" in answer["warnings"][0]) == (0, True)
    desk.type("cleanup", job.id, "--plan-out", str(file))
    assert desk.type("cleanup", "--apply", str(file), "--dry-run")[0] == 0
    ref = site.place.refs(job)[1]
    site.place.remove(ref)
    site.place.put(ref, b"somebody's", "audio/wav", **{"ingest-video": "v-unheard-of"})
    before = site.objects()
    code, answer = desk.type("cleanup", "--apply", str(file), "--dry-run")
    assert (code, "stale" in answer["errors"][0]["message"]) == (14, True)
    code, answer = desk.type("cleanup", job.id, "--dry-run")
    assert (code, answer["errors"][0]["code"]) == (14, "conflict")
    assert "nothing to clean up" not in desk.say("cleanup", job.id, "--dry-run")
    folder = desk.folder / "objects" / ref.bucket
    folder.rename(folder.with_name("away"))
    code, answer = desk.type("cleanup", job.id, "--dry-run")
    assert (code, answer["errors"][0]["code"]) == (20, "storage_unavailable")
    assert "nothing to clean up" not in desk.say("cleanup", job.id, "--dry-run")
    folder.with_name("away").rename(folder)
    assert site.objects() == before


def test_a_takedown_is_not_fetched_again_unless_asked_for(desk: Desk) -> None:
    job = desk.site.ingested()
    words = ("cleanup", job.id, "--include-valid")
    assert "puts no job back in the queue" in desk.say(*words, "--dry-run")
    code, answer = desk.type(*words, "--confirm", job.id)
    assert (code, answer["data"]["reset"], desk.site.status(job)) == (0, False, "succeeded")
    assert key(job, "source.mp4") not in desk.site.objects()
    assert desk.type("cleanup", "--undo", answer["data"]["incident"])[0] == 0
    code, answer = desk.type(*words, "--reset", "--confirm", job.id)
    assert (code, answer["data"]["reset"], desk.site.status(job)) == (0, True, "queued")
