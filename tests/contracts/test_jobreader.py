"""The reader of single jobs: the same answers as the store's, all as of one moment, and the same errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingestctl.db.one_job import open_reader
from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.errors import DatabaseUnavailable, NotFound, SchemaOutdated
from tests.contracts.jobstore_world import World

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ingestctl.db.base import JobFacts
    from tests.services.postgres import PostgresServer


@pytest.fixture(params=["sqlite", "postgresql"])
def world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    if request.param == "sqlite":
        (tmp_path / "it.db").write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
        url = f"sqlite:///{tmp_path / 'it.db'}"
    else:
        url = request.getfixturevalue("postgres").create_database("migrated")
    made = World(url)
    yield made
    made.close()


def _all(facts: JobFacts, name: str) -> list[object]:
    facts.check_schema()
    job = facts.resolve(name)
    return [
        job,
        facts.video(job.video_id),
        facts.runs(job.id),
        facts.events(job.id),
        facts.artifacts(job.video_id),
    ]


def test_the_reader_answers_as_the_store_does(world: World) -> None:
    world.submit("abc-1")
    world.expired("abc-1")
    claim = world.claim("abc-1")
    world.store.reserve(claim.lease, ObjectRef("raw-videos", "videos/v/source.mp4"), Kind.VIDEO)
    reader = open_reader(world.url)
    try:
        found = _all(reader, "abc")
        assert found == _all(world.store, "abc")
        _, _, runs, events, artifacts = found
        assert [run.lease_live for run in runs] == [False, True]  # type: ignore[attr-defined]
        assert (len(events), len(artifacts)) == (4, 1)  # type: ignore[arg-type]
        with pytest.raises(NotFound):
            reader.resolve("\ud800nobody\0")
        if reader.dialect == "sqlite":
            reader.close()  # or nobody could write
        world.store.release(claim.lease, reason="enough")
        if reader.dialect == "postgresql":  # what happens meanwhile is not half in the answer
            assert _all(reader, "abc") == found
        reader.close()
        assert _all(reader, "abc") == _all(world.store, "abc") != found
    finally:
        reader.close()


def test_what_cannot_be_read_is_named(postgres: PostgresServer, tmp_path: Path) -> None:
    for url in (
        postgres.create_database(None),
        postgres.create_database("platform"),
        f"sqlite:///{tmp_path / 'new.db'}",
    ):
        reader = open_reader(url)
        with pytest.raises(SchemaOutdated, match=r"is none|no database file"):
            reader.check_schema()
        with pytest.raises(SchemaOutdated):
            reader.resolve("a")
        reader.close()
    nobody = open_reader("postgresql://u:s3cret@127.0.0.1:1/d", timeout_s=1)
    with pytest.raises(DatabaseUnavailable) as caught:
        nobody.check_schema()
    assert "s3cret" not in caught.value.message + (caught.value.evidence or "")
