"""What the commands do with what they are given: settings, schemas, names, filters, stdin."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.acceptance.worlds import World
    from tests.services.postgres import PostgresServer


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("INGESTCTL_LEASE_SECONDS", "soon", ("INGESTCTL_LEASE_SECONDS", "'soon'")),
        ("INGESTCTL_LEASE_SECONDS", "-1", ("INGESTCTL_LEASE_SECONDS", "-1")),
        (
            "INGESTCTL_HEARTBEAT_SECONDS",
            "1.5",
            ("INGESTCTL_HEARTBEAT_SECONDS", "half", "INGESTCTL_LEASE_SECONDS"),
        ),
        (
            "INGESTCTL_SOURCE_ALLOW_NETWORKS",
            "10.0.0.0/99",
            ("INGESTCTL_SOURCE_ALLOW_NETWORKS", "10.0.0.0/99"),
        ),
        ("INGESTCTL_STORAGE_URL", "gopher://x", ("storage URL", "gopher://x", "file:///")),
        ("INGESTCTL_LEASE_SECOND", "60", ("INGESTCTL_LEASE_SECOND", "did you mean INGESTCTL_LEASE_SECONDS")),
        ("DATABASE_URL", "mysql://u:pw-hidden@h/x", ("mysql",)),
        ("S3_SECRET_KEY_FILE", "/no/such/file", ("S3_SECRET_KEY_FILE", "/no/such/file")),
        ("LOG_LEVEL", "LOUD", ("LOG_LEVEL", "LOUD")),
    ],
)
def test_unusable_settings_are_named_with_the_fix(
    world: World, name: str, value: str, words: tuple[str, ...]
) -> None:
    done = world.cli("run", "--pending", env={name: value})
    assert done.code == 13, done.stdout + done.stderr
    assert done.error["code"] in ("configuration", "database_refused")
    for word in words:
        assert word in done.error["message"]
    assert done.error["hint"] or "did you mean" in done.error["message"]
    assert "pw-hidden" not in done.stdout + done.stderr


def test_show_config_says_where_each_value_came_from(world: World) -> None:
    (world.home / ".env").write_text("INGESTCTL_MAX_BYTES=1GB\nLOG_LEVEL=ERROR\n")
    try:
        done = world.cli(
            "--log-level", "DEBUG", "doctor", "--show-config", env={"S3_SECRET_KEY": "hidden-value"}
        )
        refused = world.cli("jobs", env={"INGESTCTL_X": "1"})
        (world.home / ".env").write_text("INGESTCTL_MAX_BITES=1GB\n")
        misspelt = world.cli("jobs")
    finally:
        (world.home / ".env").unlink()
    shown = {s["name"]: (s["value"], s["source"]) for s in done.data["settings"]}
    assert shown["INGESTCTL_LEASE_SECONDS"] == ("2.0", "environment INGESTCTL_LEASE_SECONDS")
    assert shown["INGESTCTL_MAX_BYTES"][1] == ".env INGESTCTL_MAX_BYTES"
    assert shown["LOG_LEVEL"] == ("DEBUG", "flag")
    assert shown["S3_SECRET_KEY"] == ("***", "environment S3_SECRET_KEY")
    assert shown["INGESTCTL_MAX_RUN_SECONDS"][1] == "default"
    assert refused.code == 13
    assert misspelt.code == 13
    assert "INGESTCTL_MAX_BYTES" in misspelt.error["message"]
    assert ".env" in misspelt.error["message"]


@pytest.mark.parametrize("template", [None, "platform"])
def test_a_database_that_is_behind_says_what_to_type(
    world: World, postgres: PostgresServer, template: str | None
) -> None:
    env = {"DATABASE_URL": postgres.create_database(template)}
    for line in (
        "jobs",
        "inspect x",
        "logs x",
        "run x",
        "run --pending",
        "submit https://media.example/x.mp4",
    ):
        done = world.cli(*line.split(), env=env)
        assert done.code == 13, line + done.stdout
        assert done.error["code"] == "schema_outdated"
        assert "ingestctl db upgrade" in done.error["hint"]
    status = world.cli("db", "status", env=env)
    assert status.code == 13
    assert not status.data["up_to_date"]
    assert status.data["missing"]
    first, second = (world.cli("db", "upgrade", env=env) for _ in range(2))
    assert (first.code, first.data["changed"]) == (0, True)
    assert (second.code, second.data["changed"]) == (0, False)
    assert world.cli("db", "status", env=env).data["up_to_date"]
    assert world.cli("jobs", env=env).code == 0


def test_a_job_is_named_by_any_unique_prefix(world: World, jobs: dict[str, str]) -> None:
    job_id = jobs["failed"]
    prefix = next(
        job_id[:n] for n in range(1, 37) if sum(j.startswith(job_id[:n]) for j in jobs.values()) == 1
    )
    assert world.cli("inspect", prefix).data["job"]["id"] == job_id
    copy = "INSERT INTO jobs (id, video_id, type, status, queued_at, created_at, updated_at) "
    copy += "SELECT ?, video_id, type,"
    for new in ("same-1", "same-2"):
        world.query(
            f"{copy} 'canceled', queued_at, created_at, updated_at FROM jobs WHERE id = ?", new, job_id
        )
    try:
        for command in ("inspect", "logs", "run"):
            done = world.cli(command, "same")
            assert done.code == 14, done.stdout
            assert "same-1" in done.error["message"]
            assert "same-2" in done.error["message"]
        assert world.cli("inspect", "same-1").code == 0
        listed = world.cli("jobs", "same").data["jobs"]
        assert {j["job_id"] for j in listed} == {"same-1", "same-2"}
    finally:
        world.query("DELETE FROM jobs WHERE id LIKE 'same-%'")


def test_jobs_filters(world: World, jobs: dict[str, str]) -> None:
    def found(*arguments: str) -> set[str]:
        done = world.cli("jobs", *arguments)
        assert done.code == 0, done.stdout
        ids = {j["job_id"] for j in done.data["jobs"]}
        return {name for name, job_id in jobs.items() if job_id in ids}

    queued = {"plain", "evil", "signed"}
    assert found("--status", "pending") == found("--status", "queued") == queued
    assert found("--status", "completed") == found("-s", "succeeded") == {"done"}
    assert found("--status", "running,failed") == {"stuck", "failed"}
    assert found("--phase", "processing") == found("--stuck") == {"stuck"}
    assert found("--cause", "download_blocked") == {"failed"}
    assert found("--cause", "disk_full") == set()
    assert found("--source", "media.example") == set(jobs)
    assert found("--source", "youtube.com") == set()
    assert found("--since", "1h") == set(jobs)
    assert found("--until", "1h") == found("--since", "2099-01-01") == set()
    assert found("https://MEDIA.example/done.mp4") == {"done"}
    video = world.row("jobs", jobs["stuck"])["video_id"]
    assert found(video) == found(video, "--status", "running") == {"stuck"}
    assert found(video, "--status", "failed") == found(video, "--source", "youtube.com") == set()

    seen, after = [], ""
    for _ in range(4):
        page = world.cli("jobs", "--limit", "2", *(("--after", after) if after else ())).data
        seen += [j["job_id"] for j in page["jobs"]]
        after = page["next"]
        if not after:
            break
    assert sorted(seen) == sorted(jobs.values())
    assert world.cli("jobs", "--after", "nonsense").code == 2


def test_logs_picks_the_jobs_lines_out_of_a_stream(
    world: World, jobs: dict[str, str], tmp_path: Path
) -> None:
    job_id = jobs["failed"]
    entry = {
        "at": "2026-11-01T10:00:00Z",
        "level": "error",
        "event": "x",
        "job_id": job_id,
        "error": "HTTP Error 429",
    }
    lines = [
        "other line",
        f"pod/worker-1 {job_id} starting",
        json.dumps(entry),
        "run-failed: ERROR: [youtube] Sign in to confirm you're not a bot",
        json.dumps({"job_id": "another", "event": "y"}),
        "\x1b[31m" + job_id + " \udcff".encode("utf-8", "replace").decode(),
    ]
    done = world.cli("logs", job_id[:13], "-", stdin="\n".join(lines))
    assert done.code == 0, done.stdout + done.stderr
    got = done.data["lines"]
    assert [line["event"] for line in got][:2] == [lines[1], "x"]
    assert got[1]["cause"] == "rate_limited"
    assert got[2]["cause"] == "download_blocked"
    assert len(got) == 4
    path = tmp_path / "worker.log"
    path.write_text("\n".join(lines))
    shown = world.cli("logs", job_id, "--file", str(path), text=True)
    assert "<- rate_limited" in shown.stdout
    assert "\x1b" not in shown.stdout
    assert world.cli("logs", job_id, "--file", str(tmp_path / "none")).code == 2


def test_submit_from_stdin_takes_what_it_can(world: World) -> None:
    lines = "# a comment\nhttps://media.example/in-1.mp4\n\n/no/such/file\n"
    lines += "  https://media.example/in-1.mp4/#t=3 \nftp://x/y\n"
    before = len(world.query("SELECT id FROM jobs"))
    done = world.cli("submit", "-", stdin=lines)
    assert done.code == 16, done.stdout
    assert done.json["status"] == "partial"
    assert [j["created"] for j in done.data["jobs"]] == [True, False]
    assert len({j["job_id"] for j in done.data["jobs"]}) == 1
    lined = world.cli("submit", "-", "-o", "ndjson", stdin=lines, text=True).stdout.splitlines()
    *items, last = [json.loads(line) for line in lined]
    assert [i["job_id"] for i in items] == [j["job_id"] for j in done.data["jobs"]]
    assert (last["exit_code"], last["data"], len(last["errors"])) == (16, None, 2)
    assert len(done.json["errors"]) == 2
    assert "/no/such/file" in done.error["message"]
    assert len(world.query("SELECT id FROM jobs")) == before + 1
    world.query("DELETE FROM jobs WHERE id = ?", done.data["jobs"][0]["job_id"])
    assert world.cli("submit", "-", stdin="\n# nothing\n").code == 2


class TestDoctor:
    def test_all_is_well(self, world: World) -> None:
        done = world.cli("doctor")
        assert done.code == 0
        checks = {c["id"]: c["verdict"] for c in done.data["checks"]}
        wanted = {
            "database",
            "schema",
            "clock",
            "ffmpeg",
            "ffprobe",
            "scratch",
            "bucket:raw-videos:bucket",
            "bucket:uploads:write-read-delete",
        }
        assert {name: checks.get(name) for name in wanted} == dict.fromkeys(wanted, "ok")
        assert any("yt-dlp" in name or "ytdlp" in name for name in checks)
        assert "fail" not in checks.values()
        assert all(set(c) == {"id", "verdict", "status", "detail", "hint"} for c in done.data["checks"])

    @pytest.mark.parametrize(
        ("env", "check", "code"),
        [
            ({"DATABASE_URL": "postgresql://u:x@127.0.0.1:9/x"}, "database", 20),
            (
                {
                    "S3_ENDPOINT": "http://127.0.0.1:9",
                    "S3_ACCESS_KEY": "key-1234",
                    "S3_SECRET_KEY": "secret-1234",
                },
                "bucket:",
                20,
            ),
            ({"S3_BUCKET_AUDIO": "not-made-yet"}, "bucket:not-made-yet", 13),
            ({"INGESTCTL_FFMPEG": "/no/such/ffmpeg"}, "ffmpeg", 13),
            ({"INGESTCTL_SCRATCH_DIR": "/proc/none"}, "scratch", 13),
            ({"INGESTCTL_MIN_FREE_BYTES": "900TB"}, "scratch", 20),
        ],
        ids=["database", "s3", "bucket", "ffmpeg", "scratch", "space"],
    )
    def test_what_is_wrong_is_named(self, world: World, env: dict[str, str], check: str, code: int) -> None:
        done = world.cli("doctor", env=env)
        assert done.code == code, done.stdout
        failed = [c for c in done.data["checks"] if c["verdict"] == "fail"]
        assert failed
        assert all(c["id"].startswith((check, "ffprobe")) for c in failed)
        assert all(c["detail"] and c["hint"] for c in failed)

    def test_a_schema_that_is_behind(self, world: World, postgres: PostgresServer) -> None:
        done = world.cli("doctor", env={"DATABASE_URL": postgres.create_database("platform")})
        assert done.code == 13
        [failed] = [c for c in done.data["checks"] if c["verdict"] == "fail"]
        assert failed["id"] == "schema"
        assert "ingestctl db upgrade" in failed["hint"]


def test_demo_shows_the_whole_way(new_world: Callable[..., World]) -> None:
    world = new_world("sqlite", ready=False)
    platform = {
        "INGESTCTL_PROXY": "http://127.0.0.1:9",
        "INGESTCTL_COOKIES_FILE": "/no/cookies.txt",
        "INGESTCTL_LOG_DIR": str(world.home / "logs"),
        "INGESTCTL_MAX_BYTES": "1",
        "INGESTCTL_HAND_OFF": "true",
        "S3_BUCKET_VIDEO": "the-platforms",
        "S3_ENDPOINT": "http://127.0.0.1:9",
        "DATABASE_URL": "postgresql://u:x@127.0.0.1:9/x",
    }
    done = world.cli("demo", text=True, env=platform)
    assert done.code == 0, done.stdout + done.stderr
    said = dict(line.split("\t")[:2] for line in done.stdout.splitlines())
    assert not (world.home / "logs").exists(), "it is on this machine, in its own folder, alone"
    assert [said[subject] for subject in ("video", "audio", "record")] == ["intact"] * 3
    assert said["outcome"] == "succeeded"
    assert said["the_same_again"] == "unchanged"
