"""escalate on real parts: now, over history, with an incident, its evidence and a notification."""

from __future__ import annotations

import json
import tarfile
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import RunError
from ingestctl.domain.escalation import Thresholds
from ingestctl.ops.escalate import assess, replay
from tests.acceptance.conftest import new_world as new_world
from tests.contracts.jobstore_world import World, new_job
from tests.integration.test_notify import SECRET, url
from tests.integration.test_notify import hook as hook

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.acceptance.worlds import World as Place

T0 = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
TOKEN = "s3cr3t-token-value"


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    made.sql("DELETE FROM jobs")
    yield made
    made.close()


def attempt(world: World, job: str, at: datetime, cause: str | None) -> None:
    stamp = at if "postgresql" in world.url else at.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    [number] = world.sql("SELECT count(*) + 1 AS n FROM job_runs WHERE job_id = :j", j=job)
    world.sql(
        "INSERT INTO job_runs (id, job_id, attempt, status, finished_at, error_code) "
        "VALUES (:i, :j, :n, :s, :t, :c)",
        i=f"{job}/{number['n']}", j=job, n=number["n"], s="failed" if cause else "succeeded", t=stamp,
        c=cause,
    )  # fmt: skip


def storm(world: World, name: str, at: datetime, cause: str, count: int = 6) -> None:
    for number in range(count):
        world.submit(f"{name}{number}")
        attempt(world, f"{name}{number}", at + timedelta(minutes=number), cause)


def fired(store: Any, since: datetime, until: datetime) -> list[str]:
    found = assess(store, since=since, until=until, limits=Thresholds())
    return [r.rule for r in found.fired]


def test_what_ended_in_the_window_decides(world: World) -> None:
    storm(world, "a", T0, "download_blocked")
    storm(world, "b", T0 + 2 * DAY, "storage_error", 3)
    storm(world, "c", T0 + 4 * DAY, "worker_crashed", 3)
    store = world.store
    assert fired(store, T0, T0 + DAY) == ["same_source"]
    assert fired(store, T0 + 2 * DAY, T0 + 3 * DAY) == ["storage_unavailable"]
    assert fired(store, T0 + 4 * DAY, T0 + 5 * DAY) == ["worker_crashing"]
    assert fired(store, T0 + 1 * DAY, T0 + 2 * DAY) == []


def test_history_says_what_each_moment_would_have_said(world: World) -> None:
    storm(world, "a", T0 + timedelta(hours=30), "download_blocked")
    storm(world, "b", T0 + timedelta(hours=100), "storage_error", 3)
    storm(world, "c", T0 + timedelta(hours=103), "download_blocked")
    store: Any = world.store
    done = replay(store, since=T0, until=T0 + 7 * DAY, window=DAY, limits=Thresholds())
    assert (done.windows, done.step) == (168, timedelta(hours=1))
    by_rule = {r.rule: r for r in done.rules}
    # Asked again every hour, window by window, without the sliding.
    ends = [T0 + timedelta(hours=h) for h in range(1, 169)]
    for rule, told in by_rule.items():
        slow = [rule in fired(store, end - DAY, end) for end in ends]
        assert told.windows_fired == sum(slow), rule
        assert told.times == sum(
            now and not before for now, before in zip(slow, [False, *slow], strict=False)
        )
    assert by_rule["same_source"].times == 2
    assert by_rule["storage_unavailable"].times == 1
    first = by_rule["same_source"].episodes[0]
    assert first.begin == T0 + timedelta(hours=31)
    assert first.end - first.begin == timedelta(hours=23)


@pytest.mark.parametrize(("window", "over"), [(1, 24 * 365), (7, 50), (24, 1), (240, 24)])
def test_any_window_over_any_history(world: World, window: int, over: int) -> None:
    storm(world, "a", T0, "download_blocked")
    until = T0 + timedelta(hours=1)
    store: Any = world.store
    done = replay(
        store,
        since=until - timedelta(hours=over),
        until=until,
        window=timedelta(hours=window),
        limits=Thresholds(),
    )
    assert next(r for r in done.rules if r.rule == "same_source").times == 1
    assert done.windows >= 1


def test_history_is_read_once(world: World) -> None:
    storm(world, "a", T0, "download_blocked")

    class Counting:
        scans = 0

        def attempts_between(self, since: datetime, until: datetime) -> Any:
            self.scans += 1
            return world.store.attempts_between(since, until)

        def bad_checks_between(self, since: datetime, until: datetime) -> Any:
            return world.store.bad_checks_between(since, until)

    counting: Any = Counting()
    replay(counting, since=T0 - DAY, until=T0 + DAY, window=DAY, limits=Thresholds())
    assert counting.scans == 1


# --- the command


@pytest.fixture
def place(new_world: Callable[..., Place]) -> Place:
    """SQLite and a folder where five jobs of one source failed a moment ago."""
    made = new_world("sqlite")
    inside = World(f"sqlite:///{made.home / 'ingestctl.db'}")
    for number in range(5):
        inside.store.submit(new_job(f"bad{number}"))
        lease = inside.claim(f"bad{number}").lease
        message = f"HTTP Error 403 for https://media.example/x.mp4?token={TOKEN}"
        inside.store.fail(lease, RunError("download_blocked", message))
    inside.close()
    return made


def test_quiet_in_cron_until_a_rule_fires(new_world: Callable[..., Place], place: Place) -> None:
    calm = new_world("sqlite").cli("escalate", "--quiet", "--exit-code", text=True)
    assert (calm.code, calm.stdout, calm.stderr) == (0, "", "")
    loud = place.cli("escalate", "--quiet", "--exit-code", text=True)
    assert loud.code == 3
    assert "same_source\tFIRED\tSEV-3" in loud.stdout
    loud = place.cli("escalate", "--quiet", text=True)
    assert loud.code == 0
    assert "same_source\tFIRED" in loud.stdout


def test_the_data_names_numbers_jobs_and_what_to_do(place: Place) -> None:
    done = place.cli("escalate")
    assert (done.code, done.data["fired"], done.data["severity"]) == (0, ["same_source"], "SEV-3")
    rule = done.data["rules"][0]
    assert (rule["numbers"]["failed_jobs"], rule["numbers"]["threshold_jobs"]) == (5, 5)
    assert rule["numbers"]["source"] == "media.example"
    assert rule["jobs"] == [f"bad{n}" for n in range(5)]
    assert "yt-dlp" in rule["advice"]
    assert place.cli("escalate", env={"INGESTCTL_ESCALATE_SOURCE_JOBS": "6"}).data["fired"] == []
    assert [len(r["episodes"]) for r in place.cli("escalate", "--replay", "--over", "2d").data["rules"]] == [
        1,
        0,
        0,
        0,
    ]


def test_an_incident_is_opened_once_with_its_evidence(place: Place) -> None:
    first = place.cli("escalate", "--open", "--reason", "on call").data["incident"]
    assert first["created"] is True
    row = place.row("ingest_incidents", first["id"])
    assert (row["kind"], row["severity"], row["reason"]) == ("escalation", "SEV-3", "on call")
    folder = place.home / "incidents" / first["id"]
    assert folder.stat().st_mode & 0o077 == 0
    report = json.loads((folder / "jobs/01/inspect.json").read_text())
    assert report["job"]["id"] == "bad0"
    assert report["diagnosis"]["cause"] == "download_blocked"
    assert json.loads((folder / "jobs/01/verification.json").read_text())["findings"]
    assert json.loads((folder / "jobs/01/log.json").read_text())
    assert json.loads((folder / "rules.json").read_text())["fired"] == ["same_source"]
    text = "".join(p.read_text() for p in folder.rglob("*.json"))
    assert "HTTP Error 403" in text
    assert TOKEN not in text
    again = place.cli("escalate", "--open").data["incident"]
    assert (again["id"], again["created"]) == (first["id"], False)
    kinds = place.query(
        "SELECT kind FROM ingest_incident_entries WHERE incident_id = ? ORDER BY at, id", first["id"]
    )
    assert [k["kind"] for k in kinds][-2:] == ["evidence", "fired_again"]
    place.query("UPDATE ingest_incidents SET status = 'closed'")
    assert place.cli("escalate", "--open").data["incident"]["created"] is True


def test_evidence_as_an_archive(place: Place) -> None:
    incident = place.cli("escalate", "--open", "--archive").data["incident"]["id"]
    with tarfile.open(place.home / "incidents" / f"{incident}.tar.gz") as tar:
        assert f"{incident}/jobs/05/inspect.json" in tar.getnames()
    assert [p.name for p in (place.home / "incidents").iterdir()] == [f"{incident}.tar.gz"]


def test_an_incident_without_a_place_for_evidence_is_still_an_incident(place: Place) -> None:
    (place.home / "incidents").write_text("in the way")
    done = place.cli("escalate", "--open")
    assert (done.code, done.data["incident"]["created"]) == (0, True)
    assert "evidence was not saved" in done.json["warnings"][0]


def test_people_are_told_once_per_incident(place: Place, hook: Any) -> None:
    env = {"INGESTCTL_NOTIFY_URLS": f"{url(hook, 'a')} {url(hook, 'b')}"}
    done = place.cli("escalate", "--open", "--notify", env=env)
    assert (done.code, done.data["notified"]) == (0, 2)
    [_, (path, body)] = hook.got
    assert path.startswith("/b/")
    assert body["title"].startswith("[SEV-3] ingest: Many failures")
    assert done.data["incident"]["id"] in body["message"]
    assert TOKEN not in body["message"]
    again = place.cli("escalate", "--open", "--notify", env=env)
    assert "notified" not in again.data
    assert len(hook.got) == 2


def test_a_failed_notification_is_told_and_keeps_the_findings(place: Place, hook: Any) -> None:
    env = {"INGESTCTL_NOTIFY_URLS": url(hook, "fails")}
    done = place.cli("escalate", "--notify", "--exit-code", env=env)
    assert (done.code, done.data["fired"]) == (20, ["same_source"])
    assert done.error["code"] == "notify_failed"
    assert SECRET not in done.stdout + done.stderr
    shown = place.cli("doctor", "--show-config", env=env)
    assert SECRET not in shown.stdout + shown.stderr
    assert place.cli("escalate", "--notify").code == 13


def test_words_that_make_no_sense_together(place: Place) -> None:
    for words in (
        ("--replay", "--open"),
        ("--over", "3d", "--notify"),
        ("--archive",),
        ("--since", "tomorrow"),
    ):
        assert place.cli("escalate", *words).code == 2, words
    future = (datetime.now(UTC) + DAY).isoformat()
    assert place.cli("escalate", "--since", future).code == 2
