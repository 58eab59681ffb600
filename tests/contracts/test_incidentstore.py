"""The incident log and its holds, on SQLite and PostgreSQL alike."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.db.base import RunError
from ingestctl.db.operator import Incident
from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef
from ingestctl.domain.errors import Busy, Conflict, LostAuthority, NotFound
from ingestctl.domain.job import Status
from tests.contracts.jobstore_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
REF = ObjectRef("raw", "videos/v-a/source.mp4")


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def incident(name: str = "i-1", job: str | None = "a", **more: Any) -> Incident:
    video = f"v-{job}" if job else None
    said = {"title": "a title", "reason": "why", "actor": "op", "opened_at": LONG_AGO, **more}
    return Incident(name, said.pop("kind", "cleanup"), "open", "SEV-4", job_id=job, video_id=video, **said)


def hold(world: World, name: str = "i-1", *, owner: str = "me", lease_s: float = 60, **more: Any) -> Incident:
    return world.store.hold(incident(name, **more), owner=owner, lease_s=lease_s)


def settle(world: World, **more: Any) -> bool:
    terms: dict[str, Any] = {"owner": "me", "actor": "op", "forget": [], "adopt": [], "reset_reason": "fixed"}
    return world.store.settle_cleanup("i-1", **{**terms, "payload": {"n": 1}, **more})


def row(state: ArtifactState = ArtifactState.STAGED, run_id: str = "r") -> Artifact:
    return Artifact(REF, Kind.VIDEO, "v-a", "a", run_id, state, 10, "ab" * 32)


def test_the_log_is_written_read_and_closed_once(world: World) -> None:
    opened = world.store.open_incident(incident(job=None, kind="escalation", details={"n": 1}))
    assert opened.opened_at > LONG_AGO, "the database's clock"
    assert world.store.open_incident(incident(job=None, title="again")) == opened, "the same id once"
    first = world.store.note_incident("i-1", actor="op", kind="note", payload={"text": "one"})
    assert world.store.close_incident("i-1", actor="op", payload={"text": "over"}) is True
    assert world.store.close_incident("i-1", actor="op", payload={"text": "again"}) is False
    entries = world.store.incident_entries("i-1")
    assert entries[0] == first
    assert [(e.kind, e.payload["text"]) for e in entries] == [("note", "one"), ("closed", "over")]
    closed = world.store.incident("i")
    assert (closed.status, closed.details) == ("closed", {"n": 1})
    assert closed.closed_at is not None


def test_incidents_by_name_and_filter(world: World) -> None:
    for name, kind in (("aa1", "cleanup"), ("aa2", "escalation"), ("b", "cleanup")):
        world.store.open_incident(incident(name, job=None, kind=kind))
    world.store.close_incident("b", actor="op", payload={})
    with pytest.raises(Conflict, match="aa1"):
        world.store.incident("aa")
    for name in ("", "nope"):
        with pytest.raises(NotFound):
            world.store.incident(name)
    with pytest.raises(NotFound):
        world.store.note_incident("nope", actor="op", kind="note", payload={})
    ids = lambda **where: [i.id for i in world.store.incidents(**where)]  # noqa: E731
    assert ids() == ["b", "aa2", "aa1"]
    assert ids(status="open", kind="cleanup") == ["aa1"]
    assert ids(limit=1) == ["b"]
    assert ids(since=world.store.now() + timedelta(minutes=1)) == []


def test_a_hold_keeps_workers_and_other_cleanups_off(world: World) -> None:
    world.submit("a")
    hold(world)
    with pytest.raises(Busy, match="cleanup"):
        world.claim("a")
    others = world.next()  # the platform has jobs of its own
    assert others is None or others.lease.job_id != "a"
    with pytest.raises(Busy, match="i-1"):
        hold(world, "i-2", owner="other")
    world.store.drop_hold("i-1", owner="other")
    world.store.renew_hold("i-1", owner="me", lease_s=60)
    world.store.drop_hold("i-1", owner="me")
    assert world.claim("a")


def test_a_hold_that_ran_out_is_nobodys(world: World) -> None:
    world.submit("a")
    hold(world, lease_s=-1)
    with pytest.raises(LostAuthority):
        world.store.renew_hold("i-1", owner="me", lease_s=60)
    with pytest.raises(LostAuthority):
        settle(world)
    assert world.store.incident("i-1").status == "open"
    assert hold(world, "i-2", owner="other").id == "i-1", "what was begun is finished first"
    assert [i.id for i in world.store.incidents()] == ["i-1"]


def test_a_live_attempt_is_refused_and_nothing_written(world: World) -> None:
    world.submit("a")
    world.claim("a")
    with pytest.raises(Conflict, match="live"):
        hold(world)
    assert world.store.incidents() == []
    with pytest.raises(NotFound):
        hold(world, job="unheard")


def test_settling_is_one_stroke(world: World) -> None:
    world.submit("a")
    world.store.release(world.claim("a").lease, reason="x")
    world.sql("UPDATE jobs SET status = 'failed', error_message = 'bad' WHERE id = 'a'")
    hold(world)
    settle(world, adopt=[row()], reset_reason=None)
    assert [a.state for a in world.store.artifacts("v-a")] == [ArtifactState.STAGED]
    assert world.store.incident("i-1").status == "closed"
    assert world.store.job("a").status is Status.FAILED  # type: ignore[union-attr]
    hold(world, "i-3")
    other = row(run_id="another run's")
    assert settle_as(world, "i-3", forget=[other]) is True
    assert world.store.artifacts("v-a"), "only the row that was seen is forgotten"
    assert world.store.job("a").status is Status.QUEUED  # type: ignore[union-attr]
    assert "job.requeued" in world.events("a")
    hold(world, "i-4")
    settle_as(world, "i-4", forget=[row()])
    assert world.store.artifacts("v-a") == []
    assert world.claim("a"), "the hold is dropped"


def settle_as(world: World, name: str, *, forget: list[Artifact]) -> bool:
    return world.store.settle_cleanup(
        name, owner="me", actor="op", forget=forget, adopt=[], reset_reason="fixed", payload={}
    )


def test_a_canceled_job_is_not_put_back(world: World) -> None:
    world.submit("a")
    world.sql("UPDATE jobs SET status = 'canceled' WHERE id = 'a'")
    hold(world)
    assert settle(world) is False
    assert world.store.job("a").status is Status.CANCELED  # type: ignore[union-attr]


def test_undo_adds_rows_only_where_there_are_none(world: World) -> None:
    world.submit("a")
    hold(world)
    undo: dict[str, Any] = {"owner": "me", "actor": "op", "payload": {}}
    world.store.settle_undo("i-1", restore=[row(ArtifactState.STORED)], **undo)
    (back,) = world.store.artifacts("v-a")
    assert (back.state, back.sha256) == (ArtifactState.STAGED, "ab" * 32)
    hold(world)
    changed = Artifact(REF, Kind.VIDEO, "v-a", "a", "r", ArtifactState.STORED, 11, "cd" * 32)
    world.store.settle_undo("i-1", restore=[changed], **undo)
    assert world.store.artifacts("v-a") == [back]
    assert [e.kind for e in world.store.incident_entries("i-1")] == ["undone", "undone"]


@pytest.mark.parametrize(
    ("was", "then"), [("succeeded", "succeeded"), ("failed", "failed"), ("running", "failed")]
)
def test_undo_gives_the_job_its_status_back(world: World, was: str, then: str) -> None:
    """A job that had lost its worker is failed: that attempt was ended when the job was put back."""
    ended_as(world, then)
    hold(world, details={"status": was, "attempt": 1})
    assert settle(world) is True
    hold(world)
    world.store.settle_undo("i-1", owner="me", actor="op", restore=[], payload={})
    job = world.store.job("a")
    assert job is not None
    assert (job.status.value, job.error_message) == (then, "bad" if then == "failed" else None)
    assert job.finished_at is not None
    event = world.store.events("a")[-1]
    assert event.event_type == "ingestion.job.status_restored"
    assert {k: event.payload[k] for k in ("actor", "from", "to")} == {
        "actor": "op",
        "from": "queued",
        "to": then,
    }


@pytest.mark.parametrize("since", ["an attempt", "canceled", "nothing remembered"])
def test_undo_leaves_a_job_that_somebody_went_on_with(world: World, since: str) -> None:
    ended_as(world, "succeeded")
    known = {} if since == "nothing remembered" else {"status": "succeeded", "attempt": 1}
    hold(world, details=known)
    assert settle(world) is True
    if since == "an attempt":
        world.store.release(world.claim("a").lease, reason="x")
    elif since == "canceled":
        world.sql("UPDATE jobs SET status = 'canceled' WHERE id = 'a'")
    before = world.store.job("a")
    hold(world)
    world.store.settle_undo("i-1", owner="me", actor="op", restore=[], payload={})
    assert world.store.job("a") == before


def ended_as(world: World, status: str) -> None:
    """A job whose one attempt ended so."""
    world.submit("a")
    world.store.fail(world.claim("a").lease, RunError("internal", "bad"))
    world.sql("UPDATE jobs SET status = :s WHERE id = 'a'", s=status)
