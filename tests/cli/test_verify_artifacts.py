"""verify-artifacts as it is typed: on the demo's world, in a pipe, in cron."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


class Shell:
    def __init__(self, home: Path) -> None:
        self.home = home
        self.env = {"PATH": os.environ["PATH"], "INGESTCTL_HOME": str(home), "HOME": str(home)}

    def __call__(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "ingestctl", *words]
        return subprocess.run(command, env=self.env, capture_output=True, text=True, check=False)

    def json(self, *words: str) -> tuple[int, dict[str, Any]]:
        done = self(*words, "--output", "json")
        envelope = json.loads(done.stdout)
        assert envelope["exit_code"] == done.returncode
        return done.returncode, envelope


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Shell:
    home = tmp_path_factory.mktemp("demo")
    done = Shell(home)("demo", "--output", "json")
    assert done.returncode == 0, done.stdout + done.stderr
    return Shell(home / "demo")


@pytest.fixture(scope="module")
def job(demo: Shell) -> dict[str, Any]:
    found: dict[str, Any] = demo.json("jobs")[1]["data"]["jobs"][0]
    return found


def test_three_lines_one_verdict_one_exit(demo: Shell, job: dict[str, Any]) -> None:
    done = demo("verify-artifacts", job["job_id"])
    assert done.returncode == 0
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    assert lines[0] == ["subject", "verdict", "evidence"]
    assert [line[:2] for line in lines[1:]] == [
        ["original video", "intact"], ["extracted audio", "intact"], ["metadata record", "intact"],
    ]  # fmt: skip
    assert f"job {job['job_id']}: intact" in done.stderr
    assert demo("verify-artifacts", "--job-id", job["job_id"][:8], "--quiet").stdout == ""


def test_the_envelope_of_one(demo: Shell, job: dict[str, Any]) -> None:
    code, envelope = demo.json("verify-artifacts", job["job_id"], "--level", "decode", "--compare-audio")
    data = envelope["data"]
    assert (code, data["verdict"], data["level"]) == (0, "intact", "decode")
    assert set(data) == {
        *("job_id", "video_id", "status", "level", "verdict", "checked_at", "findings", "strays"),
    }
    assert [f["subject"] for f in data["findings"]] == ["video", "audio", "record"]
    assert all(len(f["sha256"]) == 64 for f in data["findings"][:2])
    assert "same bytes" in data["findings"][1]["evidence"]


def test_many_by_listing_and_by_job(demo: Shell, job: dict[str, Any]) -> None:
    code, envelope = demo.json("verify-artifacts", "--all")
    assert (code, envelope["data"]["mode"], envelope["data"]["counts"]["intact"]) == (0, "listing", 2)
    quiet = demo("verify-artifacts", "--all", "--quiet")
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    code, envelope = demo.json("verify-artifacts", "--status", "completed", "--level", "checksum")
    assert (code, envelope["data"]["mode"], envelope["data"]["checked"]) == (0, "jobs", 1)
    lines = demo("verify-artifacts", "--sample", "100%", "-o", "ndjson").stdout.splitlines()
    assert [json.loads(line)["job_id"] for line in lines] == [job["job_id"]]
    assert (
        demo.json("verify-artifacts", "--older-than", "1d", "--max-minutes", "5")[1]["data"]["checked"] == 0
    )


def test_what_is_bad_and_what_could_not_be_checked(demo: Shell, job: dict[str, Any]) -> None:
    key = f"videos/{job['video_id']}/audio.wav"
    audio = demo.home / "objects" / "audio-tracks" / key
    data = audio.read_bytes()
    audio.write_bytes(data[:-4000])
    code, envelope = demo.json("verify-artifacts", job["job_id"])
    assert (code, envelope["data"]["verdict"], envelope["status"]) == (11, "partial", "error")
    done = demo("verify-artifacts", "--all", "--quiet")
    assert done.returncode == 11
    assert key in done.stdout
    assert f"next:\n  ingestctl verify-artifacts {job['job_id']}" in done.stderr
    assert f"ingestctl cleanup {job['job_id']} --dry-run" in demo("verify-artifacts", job["job_id"]).stderr
    folder = demo.home / "objects" / "audio-tracks"
    folder.rename(folder.with_name("away"))
    code, envelope = demo.json("verify-artifacts", job["job_id"])
    assert (code, envelope["data"]["findings"][1]["verdict"]) == (20, "unknown")
    told = demo("verify-artifacts", job["job_id"]).stderr
    assert "next:\n  ingestctl doctor" in told
    assert "decode" not in told
    done = demo("verify-artifacts", "--all")
    assert (done.returncode, "bucket" in done.stderr) == (20, True)
    folder.mkdir()
    done = demo("verify-artifacts", "--all", "--quiet")
    assert (done.returncode, done.stdout) == (20, "")
    assert "0 of 1 stored objects" in done.stderr
    folder.rmdir()
    folder.with_name("away").rename(folder)
    audio.write_bytes(data)
    assert demo("verify-artifacts", job["job_id"]).returncode == 0


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        ([], 2, "say what to verify"),
        (["nobody"], 10, "no job"),
        (["--sample", "0%"], 2, "--sample"),
        (["--all", "x"], 2, "not both"),
        (["--level", "deep", "--all"], 2, "deep"),
        (["--older-than", "soon"], 2, "--older-than"),
        (["--status", "dead"], 2, "dead"),
        (["--compare-audio", "--all"], 2, "--level decode"),
    ],
)
def test_what_makes_no_sense_is_told(demo: Shell, words: list[str], code: int, says: str) -> None:
    done = demo("verify-artifacts", *words)
    assert (done.returncode, done.stdout) == (code, "")
    assert says in done.stderr
