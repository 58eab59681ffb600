"""What is printed: one envelope, lines, TSV or tables; safe text, no secrets, nothing when quiet."""

from __future__ import annotations

import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from fcntl import ioctl
from typing import TYPE_CHECKING

import pytest

from tests.cli.conftest import EVIL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.acceptance.worlds import Completed, World

RFC3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069]")

CALLS = [
    ("jobs", 0, "jobs"),
    ("inspect {plain}", 0, "inspect"),
    ("inspect --job-id {failed}", 0, "inspect"),
    ("logs {failed}", 0, "logs"),
    ("db status", 0, "db status"),
    ("db upgrade", 0, "db upgrade"),
    ("init", 0, "init"),
    ("doctor", 0, "doctor"),
    ("doctor --show-config", 0, "doctor"),
    ("submit https://media.example/plain.mp4", 0, "submit"),
    ("inspect", 2, "inspect"),
    ("inspect {plain} --job-id {failed}", 2, "inspect"),
    ("inspect no-such-job", 10, "inspect"),
    ("logs no-such-job", 10, "logs"),
    ("run", 2, "run"),
    ("run --pending --job-id {plain}", 2, "run"),
    ("run no-such-job", 10, "run"),
    ("run {done}", 11, "run"),
    ("jobs --status finished", 2, "jobs"),
    ("jobs --phase eating", 2, "jobs"),
    ("jobs --since yesterday", 2, "jobs"),
    ("jobs --bogus", 2, "jobs"),
    ("jobs --limit 0", 2, "jobs"),
    ("submit", 2, "submit"),
    ("submit /no/such/file.mp4", 2, "submit"),
    ("submit ftp://media.example/x.mp4", 2, "submit"),
    ("logs {plain} extra", 2, "logs"),
    ("jbos", 2, "jbos"),
]


def _terminal(world: World, *arguments: str, env: Mapping[str, str]) -> str:
    """What the program shows on a terminal of 80 columns."""
    main, side = pty.openpty()
    ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "ingestctl", *arguments],
        stdin=side, stdout=side, stderr=side, cwd=world.home,
        env={**world.env, "TERM": "xterm-256color", **env},
    )  # fmt: skip
    os.close(side)
    shown = b""
    try:
        while chunk := os.read(main, 65536):
            shown += chunk
    except OSError:  # the other side is gone: that is how a pseudo-terminal ends
        pass
    process.wait(20)
    os.close(main)
    return shown.decode()


@pytest.mark.parametrize(("line", "code", "command"), CALLS, ids=[c[0] for c in CALLS])
def test_every_answer_is_one_envelope(
    world: World, jobs: dict[str, str], line: str, code: int, command: str
) -> None:
    done = world.cli(*line.format(**jobs).split())
    assert done.code == code, done.stdout + done.stderr
    answer = done.json
    assert list(answer) == ["schema", "command", "status", "exit_code", "data", "errors", "warnings"]
    assert (answer["schema"], answer["command"], answer["exit_code"]) == ("ingestctl/v1", command, code)
    assert answer["status"] == ("ok" if code == 0 else "error")
    assert bool(answer["errors"]) == (code != 0)
    for error in answer["errors"]:
        assert {"code", "message", "hint"} <= set(error) <= {"code", "message", "hint", "job_id"}
        assert error["message"]
    assert UNSAFE.search(done.stdout.rstrip("\n")) is None


def test_ndjson_is_one_item_a_line_and_errors_are_an_envelope(world: World) -> None:
    items = world.cli("jobs").data["jobs"]
    lines = world.cli("jobs", "-o", "ndjson", text=True).stdout.splitlines()
    assert [json.loads(line) for line in lines] == items
    failed = world.cli("inspect", "nope", "-o", "ndjson", text=True)
    assert json.loads(failed.stdout)["errors"][0]["code"] == "not_found"


def test_piped_tables_are_tsv_with_rfc3339_times(world: World, jobs: dict[str, str]) -> None:
    header, *rows = world.cli("jobs", text=True).stdout.splitlines()
    names = header.split("\t")
    assert names[:3] == ["job", "status", "phase"]
    assert {row.split("\t")[0] for row in rows} == set(jobs.values())
    for row in rows:
        cells = dict(zip(names, row.split("\t"), strict=True))
        assert RFC3339.match(cells["updated"])
    fields = world.cli("inspect", jobs["failed"], text=True)
    assert "\x1b" not in fields.stdout
    times = [w for w in re.split(r"\s", fields.stdout) if re.match(r"\d{4}-\d\d-\d\dT", w)]
    assert times
    assert all(RFC3339.match(t) for t in times)


def test_a_terminal_gets_a_table_that_fits(world: World, jobs: dict[str, str]) -> None:
    shown = _terminal(world, "jobs", env={})
    assert "\x1b[32m" in shown, "succeeded is green on a terminal with colours"
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    assert UNSAFE.search(plain.replace("\r\n", "\n")) is None
    assert all(len(line) <= 80 for line in plain.splitlines())
    assert plain.count(" ago ") == len(jobs), "the time is shown whole"
    # What is shown of an id can be typed again: it finds its job.
    shortest = [next(w for w in line.split() if re.match(r"[0-9a-f]{8}-", w)) for line in plain.splitlines()
                if re.match(r"\s*[0-9a-f]{8}-", line)]  # fmt: skip
    assert len(shortest) == len(jobs)
    assert all(sum(i.startswith(s) for i in jobs.values()) == 1 for s in shortest)
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        bare = _terminal(world, "jobs", env=env)
        assert "\x1b[3" not in bare, env
        assert "succeeded" in bare
    assert "\x1b[" not in _terminal(world, "jobs", env={"TERM": "dumb"})


@pytest.mark.parametrize("command", ["jobs", "inspect", "logs"])
def test_text_from_outside_is_shown_and_never_sent(world: World, jobs: dict[str, str], command: str) -> None:
    arguments = {"jobs": ("jobs",), "inspect": ("inspect", jobs["evil"]), "logs": ("logs", jobs["failed"])}
    piped = world.cli(*arguments[command], text=True)
    assert UNSAFE.search(piped.stdout.replace("\t", "").replace("\n", "")) is None
    if command != "logs":
        assert r"\e[31mred\x07 \u202egnp.exe" in piped.stdout
        assert "[bold]x[/bold]" in piped.stdout
        assert r"\r\nnext\tcell" in piped.stdout
    for env in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        shown = _terminal(world, *arguments[command], env={"COLUMNS": "400", **env})
        text = re.sub(r"\x1b\[[0-9;]*m", "", shown).replace("\r\n", "\n").replace("\n", "")
        assert UNSAFE.search(text) is None, repr(UNSAFE.search(text))
    raw = world.cli("jobs")
    assert UNSAFE.search(raw.stdout.rstrip("\n")) is None
    assert EVIL in [job["title"] for job in raw.data["jobs"]], "JSON keeps the value, escaped"


def test_quiet_prints_nothing_when_all_is_well(new_world: Callable[..., World]) -> None:
    world = new_world("sqlite")
    url = "https://media.example/quiet.mp4"
    for line in ("init", "db upgrade", "db status", "doctor", "jobs", f"submit {url}"):
        done = world.cli(*line.split(), "--quiet", text=True)
        assert (done.code, done.stdout, done.stderr) == (0, "", ""), line
    world.query("DELETE FROM jobs")
    done = world.cli("run", "--pending", "--quiet", text=True)
    assert (done.code, done.stdout, done.stderr) == (0, "", "")
    bad = world.cli("inspect", "nope", "--quiet", text=True)
    assert bad.code == 10
    assert "nope" in bad.stderr


def _printed(done: Completed) -> str:
    return done.stdout + done.stderr


def test_secrets_are_never_printed(
    world: World, jobs: dict[str, str], new_world: Callable[..., World]
) -> None:
    for line in (
        "jobs",
        "inspect {signed}",
        "logs {signed}",
        "submit https://media.example/x?sig=abcdef0123456789",
    ):
        for text in (True, False):
            done = world.cli(*line.format(**jobs).split(), text=text)
            assert done.code == 0
            assert "abcdef0123456789" not in _printed(done), line
    assert world.query("SELECT 1 FROM videos WHERE source_uri LIKE '%abcdef0123456789%'"), (
        "it is kept as given"
    )
    env = {
        "DATABASE_URL": "postgresql://u:pa55word-db@127.0.0.1:9/x",
        "S3_ENDPOINT": "http://127.0.0.1:9",
        "S3_ACCESS_KEY": "AKIAEXAMPLEKEY",
        "S3_SECRET_KEY": "very-secret-key-1234",
    }
    for arguments in (("jobs",), ("doctor",), ("doctor", "--show-config"), ("run", "x"), ("db", "status")):
        for text in (True, False):
            done = world.cli(*arguments, env=env, text=text)
            assert done.code in (0, 20), _printed(done)
            for secret in ("pa55word-db", "AKIAEXAMPLEKEY", "very-secret-key-1234"):
                assert secret not in _printed(done), arguments


def test_a_reader_that_leaves_early_is_no_error(world: World) -> None:
    command = f"{sys.executable} -m ingestctl jobs | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", command], env=world.env, cwd=world.home, capture_output=True, text=True, check=True
    )
    header, code = done.stdout.splitlines()
    assert header.startswith("job\t")
    assert code == "0"
    assert done.stderr == ""
    closed = f"{sys.executable} -m ingestctl jobs -o json | true; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", closed], env=world.env, cwd=world.home, capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("0\n", "")


@pytest.mark.parametrize("option", ["--help", "--version"])
def test_help_and_version_load_nothing_heavy(world: World, option: str) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ingestctl", option],
        env=world.env, cwd=world.home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert "ingestctl" in loaded
    assert not loaded & {
        "sqlalchemy",
        "boto3",
        "botocore",
        "yt_dlp",
        "alembic",
        "pydantic",
        "psycopg",
        "rich",
    }
    if option == "--help":
        order = [
            done.stdout.index(f" {c} ")
            for c in ("jobs", "inspect", "logs", "submit", "run", "init", "doctor")
        ]
        assert order == sorted(order)


def test_inspect_loads_nothing_heavy(world: World) -> None:
    """SQLAlchemy would take longer than all the rest of it."""
    made = world.cli("submit", "https://media.example/inspected.mp4", "--output", "json", text=True)
    job_id = json.loads(made.stdout)["data"]["jobs"][0]["job_id"]
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ingestctl", "inspect", job_id],
        env=world.env, cwd=world.home, capture_output=True, text=True, check=True,
    )  # fmt: skip
    loaded = {line.rpartition("|")[2].strip().partition(".")[0] for line in done.stderr.splitlines()}
    assert job_id in done.stdout
    assert "ingestctl" in loaded
    heavy = {
        "sqlalchemy",
        "alembic",
        "boto3",
        "botocore",
        "yt_dlp",
        "rich",
        "tenacity",
        "filelock",
    }
    assert not loaded & (heavy | {"apprise", "humanize", "requests"})


def test_every_commands_help_ends_with_its_exit_codes(world: World) -> None:
    for command in (
        "jobs",
        "inspect",
        "logs",
        "submit",
        "run",
        "init",
        "doctor",
        "db status",
        "db upgrade",
        "demo",
    ):
        done = world.cli(*command.split(), "--help", text=True)
        assert done.code == 0
        assert "EXIT STATUS" in done.stdout, command
