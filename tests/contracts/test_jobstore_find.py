"""What every job store answers: names, filters, pages, events, and rows that others wrote."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingestctl.db.base import JobFilter, RunError
from ingestctl.domain.errors import Conflict, NotFound, UsageError
from ingestctl.domain.job import Phase, Status
from tests.contracts.jobstore_world import World, source

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


def ids(world: World, **where: object) -> set[str]:
    rows = world.store.find(JobFilter(**where), limit=1000).jobs  # type: ignore[arg-type]
    assert sorted(r.job.id for r in rows) == [r.job.id for r in world.store.scan(JobFilter(**where))]  # type: ignore[arg-type]
    return {row.job.id for row in rows if not row.job.id.startswith("plat-")}


def test_names_resolve_by_unique_prefix(world: World) -> None:
    for name in ("abc-1", "abc-2", "abd", "ab_d", "ab%d"):
        world.submit(name)
    assert world.store.resolve("abd").id == "abd"
    assert world.store.resolve("abc-1").id == "abc-1"
    assert world.store.resolve("ab_").id == "ab_d"
    assert world.store.resolve("ab%").id == "ab%d"
    with pytest.raises(Conflict, match="abc-1, abc-2"):
        world.store.resolve("abc")
    for name in ("x", "", "ABD", "a\0", "\ud800"):
        with pytest.raises(NotFound):
            world.store.resolve(name)


def test_an_exact_id_wins_over_longer_ones(world: World) -> None:
    world.submit("job")
    world.submit("job-2")
    assert world.store.resolve("job").id == "job"


def test_filters(world: World) -> None:
    same = source()
    world.submit("queued", of=same, title="Title")
    world.submit("old-word")
    world.sql("UPDATE jobs SET status = 'pending' WHERE id = 'old-word'")
    world.submit("failed")
    world.store.fail(world.claim("failed").lease, RunError("rate_limited", "429"))
    world.submit("working")
    world.store.enter_phase(world.claim("working").lease, Phase.STORING)
    world.submit("stuck")
    world.expired("stuck")
    assert ids(world, statuses=frozenset({Status.QUEUED})) == {"queued", "old-word"}
    assert ids(world, statuses=frozenset({Status.FAILED, Status.RUNNING})) == {"failed", "working", "stuck"}
    assert ids(world, phases=frozenset({"storing"})) == {"working"}
    assert ids(world, causes=frozenset({"rate_limited"})) == {"failed"}
    assert ids(world, stuck=True) == {"stuck"}
    assert ids(world, url=same.uri.replace("https://media", "HTTPS://MEDIA") + "/#x") == {"queued"}
    assert ids(world, video_id="v-queued") == {"queued"}
    assert ids(world, id_prefix="wor") == {"working"}
    assert ids(world, since=world.store.now() + timedelta(hours=1)) == set()
    assert len(ids(world, until=world.store.now() + timedelta(hours=1))) == 5
    counts = world.store.counts()
    assert counts[Status.QUEUED] >= 2
    assert sum(counts.values()) == len(list(world.store.scan(JobFilter())))
    (row,) = (r for r in world.store.scan(JobFilter()) if r.job.id == "failed")
    assert (row.attempt, row.error_code, row.lease_live) == (1, "rate_limited", False)
    (row,) = (r for r in world.store.scan(JobFilter()) if r.job.id == "queued")
    assert (row.attempt, row.error_code, row.lease_live, row.title) == (None, None, False, "Title")


def test_sources_are_told_by_host_not_by_words_in_the_path(world: World) -> None:
    uris = {
        "bare": "https://tube.example",
        "www": "https://www.tube.example/watch?v=1",
        "port": "http://tube.example:8080/x",
        "other": "https://evil.example/tube.example/x",
        "longer": "https://tube.example.evil/x",
    }
    for name, uri in uris.items():
        world.submit(name)
        world.sql("UPDATE videos SET source_uri = :u WHERE id = :v", u=uri, v=f"v-{name}")
    assert ids(world, source="Tube.Example") == {"bare", "www", "port"}
    assert ids(world, source="external_url") == set(uris)
    assert ids(world, source="uploads") == set()
    assert ids(world, source="tube%example") == set()


def test_pages_are_stable_while_jobs_arrive(world: World) -> None:
    before = [f"job-{n:02}" for n in range(25)]
    for name in before:
        world.submit(name)
    seen: list[str] = []
    mark: str | None = None
    while True:
        page = world.store.find(JobFilter(id_prefix="job-"), limit=4, after=mark)
        seen += [row.job.id for row in page.jobs]
        world.submit(f"job-new-{len(seen)}")
        mark = page.next
        if mark is None:
            break
    assert seen == before[::-1]
    assert {r.job.id for r in world.store.scan(JobFilter(id_prefix="job-"), batch=3)} > set(before)
    with pytest.raises(UsageError):
        world.store.find(JobFilter(), after="nonsense")


def test_events_keep_their_order_and_can_be_followed(world: World) -> None:
    world.submit("a")
    lease = world.claim("a").lease
    for n in range(30):
        world.store.record(lease, "ingestion.note.made", {"n": n})
    events = world.store.events("a")
    assert [e.payload["n"] for e in events[2:]] == list(range(30))
    assert world.store.events("a", after=events[9].id, limit=3) == events[10:13]
    assert [e.id for e in events] == sorted(e.id for e in events)


@pytest.mark.parametrize(
    "payload",
    [None, {}, [], "text", 7, True, [1, {"a": [None]}], {"k": "v" * 100_000}, {"n": 10**400}],
    ids=["null", "empty", "list", "text", "number", "bool", "nested", "huge", "huge-number"],
)
def test_any_payload_is_read(world: World, payload: object) -> None:
    world.submit("a")
    cast = "" if world.url.startswith("sqlite") else "::jsonb"
    stored = None if payload is None else json.dumps(payload)
    if payload is None:
        world.sql("UPDATE jobs SET payload = NULL WHERE id = 'a'")
    else:
        world.sql(f"UPDATE jobs SET payload = '{stored}'{cast} WHERE id = 'a'")
    job = world.store.job("a")
    assert job is not None
    assert job.payload == payload
    assert world.claim("a").job.payload == payload


def test_a_payload_nested_too_deeply_is_kept_as_text(world: World) -> None:
    world.submit("a")
    cast = "" if world.url.startswith("sqlite") else "::jsonb"
    world.sql(f"UPDATE jobs SET payload = '{'[' * 3000 + ']' * 3000}'{cast} WHERE id = 'a'")
    job = world.store.job("a")
    assert job is not None
    assert isinstance(job.payload, str)
    assert [row.job.id for row in world.store.scan(JobFilter(id_prefix="a"))] == ["a"]


def test_what_no_column_can_hold_is_replaced(world: World) -> None:
    world.submit("a", title="t\0\ud800")
    lease = world.claim("a", owner="o\0").lease
    world.store.record(lease, "ingestion.note.made", {"k\0": ["\udfff", float("nan"), {"d": "\0"}]})
    world.store.fail(lease, RunError("internal", "m\0", {"x": "\ud800"}))
    assert world.store.runs("a")[0].error_message == "m\ufffd"
    assert world.store.events("a")[2].payload == {"k\ufffd": ["\ufffd", "nan", {"d": "\ufffd"}]}
    video = world.store.video("v-a")
    assert video is not None
    assert video.title == "t\ufffd\ufffd"


def test_the_clock_is_the_databases_and_aware(world: World) -> None:
    first, second = world.store.now(), world.store.now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second
