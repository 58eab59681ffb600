"""What is set wrong is named with its setting and exit 13, and is never a bug; nothing is left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from tests.acceptance.worlds import World

BAD = [
    ("jobs", {"INGESTCTL_HOME": "/dev/null/x"}, "INGESTCTL_HOME"),
    ("init", {"INGESTCTL_HOME": "/proc/nope"}, "INGESTCTL_HOME"),
    ("db status", {"INGESTCTL_HOME": "/dev/null/x"}, "INGESTCTL_HOME"),
    ("demo", {"INGESTCTL_HOME": "/proc/nope"}, "INGESTCTL_HOME"),
    ("doctor", {"INGESTCTL_HOME": "/proc/nope"}, "INGESTCTL_HOME"),
    ("submit https://media.example/x.mp4", {"INGESTCTL_HOME": "/proc/nope"}, "INGESTCTL_HOME"),
    ("run --pending", {"INGESTCTL_LOG_DIR": "/proc/nope"}, "INGESTCTL_LOG_DIR"),
    ("run --pending", {"INGESTCTL_COOKIES_FILE": "/no/cookies.txt"}, "INGESTCTL_COOKIES_FILE"),
    ("jobs", {"INGESTCTL_STORAGE_URL": "ftp://foo"}, "INGESTCTL_STORAGE_URL"),
    ("init", {"S3_BUCKET_VIDEO": "Bad Bucket!"}, "S3_BUCKET_VIDEO"),
    ("doctor", {"S3_ENDPOINT": "minio:9000"}, "S3_ENDPOINT"),
    ("init", {"INGESTCTL_STORAGE_URL": "s3://", "AWS_PROFILE": "nobody"}, "nobody"),
    ("init", {"INGESTCTL_STORAGE_URL": "s3://", "S3_SECRET_KEY": "hidden"}, "aws_access_key_id"),
]


@pytest.mark.parametrize(("line", "env", "words"), BAD, ids=[f"{b[0]}: {b[2]}" for b in BAD])
def test_what_is_wrong_is_named(
    new_world: Callable[..., World], line: str, env: dict[str, str], words: str
) -> None:
    world = new_world("sqlite", ready=False)
    done = world.cli(*line.split(), env={**env, "AWS_CONFIG_FILE": "/dev/null"})
    assert done.code == 13, done.stdout + done.stderr
    assert any(words in error["message"] for error in done.json["errors"])
    assert not any("bug" in error["hint"] for error in done.json["errors"])


def test_bad_cookies_stop_no_command_that_needs_none(world: World, jobs: dict[str, str]) -> None:
    env = {"INGESTCTL_COOKIES_FILE": "/no/cookies.txt"}
    assert world.cli("jobs", env=env).code == world.cli("inspect", jobs["plain"], env=env).code == 0


def test_a_mistyped_database_path_makes_no_file(world: World, tmp_path: Path) -> None:
    file = tmp_path / "jbos.db"
    env = {"DATABASE_URL": f"sqlite:///{file}"}
    for line in ("jobs", "inspect x", "db status", "doctor", "run --pending"):
        done = world.cli(*line.split(), env=env)
        assert done.code == 13, done.stdout
        assert not file.exists(), line
    assert "no database file" in world.cli("jobs", env=env).error["message"]
    assert world.cli("db", "upgrade", env=env).code == 0
    assert world.cli("jobs", env=env).code == 0


def test_a_broken_proxy_ends_the_round(new_world: Callable[..., World]) -> None:
    world = new_world("sqlite")
    world.submit(*(f"https://8.8.8.{n}/v.mp4" for n in range(1, 4)))
    done = world.cli("run", "--pending", env={"INGESTCTL_PROXY": "http://no-such-proxy.invalid:3128"})
    causes = [r["diagnosis"]["cause"] for r in done.data["runs"]]
    assert (causes, done.data["stopped"]) == (["configuration"] * 2, "configuration"), done.stdout
    assert done.code == 13
    left = world.query("SELECT id FROM jobs WHERE status NOT IN ('failed', 'running')")
    assert len(left) == 1, "the rest of the queue is left alone"


def test_doctor_names_what_it_did_not_look_at(world: World) -> None:
    done = world.cli("doctor", env={"DATABASE_URL": "postgresql://u:x@127.0.0.1:9/x"})
    checks = {c["id"]: c for c in done.data["checks"]}
    assert checks["schema"]["status"] == checks["clock"]["status"] == "skip"
    assert checks["database"]["status"] == checks["database"]["verdict"] == "fail"
    assert done.error["code"] == "database_unavailable"
    wrong = world.cli("doctor", env={"INGESTCTL_FFMPEG": "/no/such/ffmpeg"})
    assert "INGESTCTL_FFMPEG" in wrong.error["hint"]


@pytest.mark.parametrize("line", ["", "db", "incidents"])
def test_no_command_prints_the_help_on_stderr(world: World, line: str) -> None:
    done = world.cli(*line.split(), text=True)
    assert (done.code, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: ")
    assert "\\n" not in done.stderr
    assert len(done.stderr.splitlines()) > 5


USAGE = [
    ("--home /tmp/h foo", "foo", "foo"),
    ("", "ingestctl", "command"),
    ("incidents list --bogus", "incidents list", "--bogus"),
    ("run --limit 3 abc", "run", "--limit without --pending"),
    ("run --concurrency 2 --max-minutes 1 abc", "run", "--max-minutes and --concurrency without --pending"),
    ("run --url https://media.example/x abc", "run", "a job and --url"),
]


@pytest.mark.parametrize(("line", "command", "words"), USAGE, ids=[u[0] for u in USAGE])
def test_usage_errors_name_the_command(world: World, line: str, command: str, words: str) -> None:
    for arguments in (("-o", "json", *line.split()), (*line.split(), "--output=json")):
        if not line and arguments[0] != "-o":
            continue
        done = world.cli(*arguments, text=True)
        answer = json.loads(done.stdout)
        assert (done.code, answer["command"], answer["exit_code"]) == (2, command, 2), done.stdout
        assert words in answer["errors"][0]["message"]


def test_the_format_may_be_said_before_the_command(world: World) -> None:
    before, after = (world.cli(*a, text=True) for a in (("-o", "json", "jobs"), ("jobs", "-o", "json")))
    assert json.loads(before.stdout) == json.loads(after.stdout)
    assert not world.cli("-o", "json", "jobs", "-o", "table", text=True).stdout.startswith("{")


def test_standard_input_names_its_lines(world: World) -> None:
    lines = "\ufeffhttps://media.example/plain.mp4\n\n# a remark\nftp://media.example/x.mp4\n/no/such.mp4\n"
    done = world.start("submit", "-", "-o", "json", stdin=lines).done()
    answer = json.loads(done.stdout)
    assert done.code == 16
    assert [job["input"] for job in answer["data"]["jobs"]] == ["https://media.example/plain.mp4"]
    first, second = (error["message"] for error in answer["errors"])
    assert first.startswith("stdin line 4")
    assert "ftp://media.example/x.mp4" in first
    assert second.startswith("stdin line 5")
    assert "/no/such.mp4" in second


def _shell(
    world: World, command: str, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    line = f"{sys.executable} -m ingestctl {command}"
    return subprocess.run(
        ["bash", "-c", line],
        env={**world.env, **(env or {})}, cwd=world.home, capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("command", ["jobs", "jobs -o json", "--version", "--help", "jobs --bogus -o json"])
@pytest.mark.parametrize("where", [">/dev/full", ">&-"])
def test_a_result_that_cannot_be_written_is_told(world: World, command: str, where: str) -> None:
    done = _shell(world, f"{command} {where}")
    assert done.returncode == 20, done.stderr
    assert "cannot write the result" in done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr


def test_the_other_streams_may_be_closed(world: World) -> None:
    assert _shell(world, "jobs 2>&- </dev/null").returncode == 0
    assert _shell(world, "jobs 2>/dev/full").returncode == 0
    assert _shell(world, "submit - <&-").returncode == 2


def test_ctrl_c_is_an_answer_too(world: World) -> None:
    url = "https://media.example/before-ctrl-c.mp4"
    # A shell's background job, which the tests may be, hands on an ignored SIGINT.
    code = "import signal as s; s.signal(s.SIGINT, s.default_int_handler); "
    code += "from ingestctl.__main__ import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "submit", "-", "-o", "json"],
        env=world.env, cwd=world.home, text=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    process.stdin.write(f"{url}\n")
    process.stdin.flush()
    until = time.monotonic() + 60
    while not world.query("SELECT 1 FROM videos WHERE source_uri = ?", url) and time.monotonic() < until:
        time.sleep(0.05)
    time.sleep(0.5)  # until it waits for the next line
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=60)
    assert process.returncode == 130, stderr
    answer = json.loads(stdout)
    assert (answer["command"], answer["exit_code"], answer["status"]) == ("submit", 130, "error")
    assert "SIGINT" in answer["errors"][0]["message"]
    assert stderr == ""
