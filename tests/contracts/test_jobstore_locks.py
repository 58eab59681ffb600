"""What keeps writers apart and transitions whole, each with a second session that stands in the way."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import threading
from typing import TYPE_CHECKING

import psycopg
import pytest
import sqlalchemy as sa

from ingestctl.db.base import RunError, VideoFacts
from ingestctl.db.engine import create_engine
from ingestctl.db.transactions import Database
from ingestctl.domain.errors import IngestError
from ingestctl.domain.job import Lease, Phase
from tests.contracts.jobstore_world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.services.postgres import PostgresServer

TRANSITIONS: dict[str, Callable[[World, Lease], None]] = {
    "enter_phase": lambda world, lease: world.store.enter_phase(lease, Phase.PROCESSING),
    "succeed": lambda world, lease: world.store.succeed(
        lease, facts=VideoFacts(title="new"), artifacts=(), storage_ref={"bucket": "b", "key": "k"}
    ),
    "fail": lambda world, lease: world.store.fail(lease, RunError("internal", "it failed")),
    "release": lambda world, lease: world.store.release(lease, reason="a signal"),
}


@pytest.fixture
def world(database_url: str) -> Iterator[World]:
    made = World(database_url)
    yield made
    made.close()


@pytest.mark.parametrize("transition", sorted(TRANSITIONS))
def test_a_transition_whose_event_cannot_be_written_did_not_happen(world: World, transition: str) -> None:
    world.submit("a")
    lease = world.claim("a").lease
    before = world.everything()
    world.sql("ALTER TABLE job_events RENAME TO out_of_reach")
    with pytest.raises(IngestError):
        TRANSITIONS[transition](world, lease)
    world.sql("ALTER TABLE out_of_reach RENAME TO job_events")
    assert world.everything() == before
    TRANSITIONS[transition](world, lease)
    assert world.everything() != before


@pytest.fixture
def shared(postgres: PostgresServer) -> Iterator[World]:
    made = World(postgres.create_database("migrated"))
    made.submit("a")
    yield made
    made.close()


@contextlib.contextmanager
def held(world: World) -> Iterator[None]:
    """Another session holds the job's row, as a claim does until it commits."""
    with psycopg.connect(world.url.replace("+psycopg", "")) as other:
        other.execute("SELECT id FROM jobs WHERE id = 'a' FOR NO KEY UPDATE")
        yield


def test_an_owners_write_waits_for_whoever_holds_its_job(shared: World) -> None:
    """Or a takeover could begin between its look at the job and its write."""
    lease, written = shared.claim("a").lease, threading.Event()

    def write() -> None:
        shared.store.heartbeat(lease)
        written.set()

    thread = threading.Thread(target=write)
    with held(shared):
        thread.start()
        assert not written.wait(0.5)
    thread.join(20)
    assert written.is_set()


def test_a_queued_job_that_another_is_claiming_is_passed_over(shared: World) -> None:
    with held(shared):
        assert shared.next() is None
        assert shared.sql("SELECT * FROM job_runs") == []
    assert shared.next() is not None


def test_on_sqlite_a_write_has_its_turn_before_it_reads(tmp_path: Path, sqlite_template: Path) -> None:
    """One that read first and then wanted to write would be refused at once, with no wait that could help."""
    path = shutil.copy(sqlite_template, tmp_path / "jobs.db")
    database = Database(create_engine(f"sqlite:///{path}", timeout_s=10), "", timeout_s=10)

    def work(connection: sa.Connection) -> str:
        connection.execute(sa.text("SELECT count(*) FROM jobs"))
        with contextlib.closing(sqlite3.connect(path, timeout=0.05, isolation_level=None)) as other:
            try:
                other.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError as error:
                return str(error)
        return "another began to write"

    assert database.write(work) == "database is locked"
    database.close()
