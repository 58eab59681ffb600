"""logs and explain: found by id wherever they lie, streamed, in flat memory."""

from __future__ import annotations

import gzip
import io
import json
import subprocess
import sys
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.cli.pretty import show_blocks
from ingestctl.cli.view import Alert, Lines, Style
from ingestctl.ops.explain import explain, messages
from ingestctl.ops.logs import from_text, short_lines
from tests.acceptance.conftest import new_world as new_world

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.acceptance.worlds import World


@pytest.fixture(scope="module")
def world(new_world: Callable[..., World]) -> World:
    made = new_world("sqlite")
    made.submit("https://media.example/a.mp4")
    return made


@pytest.fixture(scope="module")
def job(world: World) -> str:
    return str(world.query("SELECT id FROM jobs")[0]["id"])


class Endless(io.TextIOBase):
    """A log of many lines that is never held as a whole; one of them has no end for a long while."""

    def __init__(self, lines: int) -> None:
        self._left = lines
        self._long = 50_000_000

    def readline(self, size: int = -1) -> str:  # type: ignore[override]
        if self._long > 0:
            self._long -= size
            return "x" * size
        if self._left == 0:
            return ""
        self._left -= 1
        return f"line {self._left} of job-{self._left % 1000}\n" if self._left else "\n"


def test_a_huge_log_takes_the_memory_of_a_line() -> None:
    tracemalloc.start()
    try:
        found = sum(1 for _ in from_text(short_lines(Endless(200_000)), "job-77"))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert found == 200 * 11  # job-77 and job-770 to job-779
    assert peak < 3_000_000, f"{peak} bytes at once"


def test_a_line_that_was_cut_is_one_line() -> None:
    text = "a" * 250_000 + " job-1\nsecond job-1\n"
    assert [len(line) for line in short_lines(io.StringIO(text))] == [100_000, 13]


def test_causes_stand_out_on_a_terminal_and_only_there(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    show_blocks([Lines([Alert("failed \x1b[5m!"), "fine"], data=True)], Style.choose(None, quiet=False))
    bad, good = capsys.readouterr().out.splitlines()
    assert bad == "\x1b[1;31mfailed \\e[5m!\x1b[0m"
    assert good == "fine"


def test_another_jobs_line_that_mentions_this_one_is_not_its(world: World, job: str) -> None:
    other = json.dumps({"job_id": "another-job", "event": f"waits for {job}"})
    mine = json.dumps({"job_id": job, "event": "mine"})
    found = world.cli("logs", job, "-", stdin=f"{other}\n{mine}\nplain {job}\n").data["lines"]
    assert [line["event"] for line in found if line["at"] is None] == ["mine", f"plain {job}"]


def test_files_gzip_and_a_log_folder_are_searched(world: World, job: str) -> None:
    folder = world.home / "logs"
    folder.mkdir()
    (world.home / "one.txt").write_bytes(
        f"x {job} HTTP Error 429: Too Many Requests\xff\nother\n".encode("latin-1")
    )
    with gzip.open(folder / "old.log.gz", "wt") as stream:
        stream.write(json.dumps({"event": "zipped", "job_id": job}) + "\n")
    (folder / "now.log").write_text(f"plain {job}\n")
    done = world.cli(
        "logs", job, "--file", str(world.home / "one.txt"), env={"INGESTCTL_LOG_DIR": str(folder)}
    )
    events = [line["event"] for line in done.data["lines"]]
    assert events[0] == "ingestion.job.submitted"
    assert events[1].startswith(f"x {job} HTTP Error 429")
    assert events[2:] == [f"plain {job}", "zipped"]
    assert done.data["lines"][1]["cause"] == "rate_limited"


def test_a_log_that_is_broken_or_not_there_is_named(world: World, job: str) -> None:
    assert world.cli("logs", job, "--file", "nowhere.log").code == 2
    whole = gzip.compress(b"x\n" * 100_000)
    (world.home / "cut.log.gz").write_bytes(whole[: len(whole) // 2])
    done = world.cli("logs", job, "--file", str(world.home / "cut.log.gz"))
    assert done.code == 2
    assert "cut.log.gz" in done.error["message"]


def test_stdin_is_shown_while_it_is_still_written(world: World, job: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestctl", "logs", job, "-"],
        env=world.env, cwd=world.home, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"one {job}\nnothing\n".encode())
    process.stdin.flush()
    assert process.stdout.readline() == f"one {job}\n".encode()
    process.stdin.close()
    assert process.wait(30) == 0
    process.stdout.close()


def test_follow_ends_with_the_job_in_one_envelope(world: World, job: str) -> None:
    world.query("UPDATE jobs SET status = 'running' WHERE id = ?", job)
    worker = world.start("logs", job, "--follow", "--output", "json")
    world.query(
        "INSERT INTO job_events (id, job_id, event_type, payload, created_at) "
        "VALUES ('zz', ?, 'ingestion.job.failed', '{\"code\": \"disk_full\"}', '2099-01-01 00:00:00.000')",
        job,
    )
    world.query("UPDATE jobs SET status = 'failed' WHERE id = ?", job)
    lines = worker.done().data["lines"]
    assert [line["event"] for line in lines] == ["ingestion.job.submitted", "ingestion.job.failed"]


# --- explain


def test_each_line_of_stdin_is_a_message_and_blank_lines_are_none() -> None:
    stream = io.StringIO("HTTP Error 429\n\n   \nNo space left on device\n")
    assert [d.cause for d in explain(messages(stream))] == ["rate_limited", "disk_full"]


def test_an_argument_may_have_many_lines() -> None:
    found = list(explain(["Conversion failed!\nav_write: No space left on device", "gibberish"]))
    assert [(d.cause, d.confidence) for d in found] == [("disk_full", "high"), ("internal", "low")]


def run_explain(*arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None) -> Any:
    return subprocess.run(
        [sys.executable, "-m", "ingestctl", "explain", *arguments],
        input=stdin, capture_output=True, env={"PATH": "/usr/bin", **(env or {})}, timeout=60, check=False,
    )  # fmt: skip


BROKEN = {"DATABASE_URL": "nonsense", "INGESTCTL_NO_SUCH_SETTING": "1", "INGESTCTL_LEASE_SECONDS": "x"}


def test_it_works_with_broken_settings_and_odd_bytes() -> None:
    done = run_explain("-", "-o", "json", stdin=b"\xff\xfe HTTP Error 404: Not Found\n", env=BROKEN)
    assert done.returncode == 0, done.stderr
    [found] = json.loads(done.stdout)["data"]["diagnoses"]
    assert found["cause"] == "invalid_source"
    assert {"cause", "title", "retryable", "confidence", "evidence", "guidance", "next"} <= set(found)


def test_nothing_to_explain_is_a_usage_error() -> None:
    assert run_explain().returncode == 2
    assert run_explain("-", "more").returncode == 2
    assert run_explain(stdin=b"HTTP Error 429\n").returncode == 0  # a pipe needs no `-`


def test_it_loads_nothing_heavy() -> None:
    code = (
        "import sys; sys.argv = ['ingestctl', 'explain', 'HTTP Error 429', '-o', 'json']\n"
        "from ingestctl.cli.main import run\n"
        "try: run()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "heavy = {'sqlalchemy', 'boto3', 'botocore', 'yt_dlp', 'alembic', 'pydantic', 'psycopg', 'apprise'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_secrets_in_a_message_are_not_repeated() -> None:
    done = run_explain("HTTP Error 403 for https://a.example/x?X-Amz-Signature=abcdef012345")
    assert b"abcdef012345" not in done.stdout
    assert b"HTTP Error 403" in done.stdout
