"""A database that goes away, answers too late, refuses, or hides behind a pooler."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sqlite3
import time
from typing import TYPE_CHECKING

import psycopg
import pytest

from ingestctl.db.base import RunError
from ingestctl.db.connect import safe_url, wal_is_safe
from ingestctl.db.engine import open_store
from ingestctl.domain.errors import (
    Busy,
    ConfigurationError,
    DatabaseRefused,
    DatabaseUnavailable,
    LostAuthority,
    SchemaOutdated,
)
from ingestctl.domain.job import Phase
from tests.contracts.jobstore_world import World, new_job
from tests.contracts.test_jobstore import succeed
from tests.services.fault_proxy import Fault, FaultProxy, nth

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.services.postgres import PostgresServer


@pytest.fixture
def world(postgres: PostgresServer) -> Iterator[World]:
    made = World(postgres.create_database())
    yield made
    made.close()


@pytest.fixture
def proxied(postgres: PostgresServer) -> Iterator[tuple[World, FaultProxy]]:
    proxy = FaultProxy(postgres.port)
    made = World(postgres.create_database().replace(f":{postgres.port}/", f":{proxy.port}/"))
    yield made, proxy
    made.close()
    proxy.close()


def test_a_lost_reply_to_commit_is_recognised_as_success(proxied: tuple[World, FaultProxy]) -> None:
    world, proxy = proxied

    def lose() -> None:
        proxy.watch = nth(1, b"COMMIT", fault=Fault("drop"))

    lose()
    assert world.store.submit(new_job("a")).created
    lose()
    lease = world.claim("a").lease
    lose()
    world.store.heartbeat(lease)
    lose()
    world.store.enter_phase(lease, Phase.STORING)
    lose()
    world.store.fail(lease, RunError("internal", "x"))
    assert proxy.strikes == 5
    assert world.events("a") == ["job.submitted", "run.started", "phase.started", "job.failed"]


@pytest.mark.parametrize("end", ["succeed", "fail", "release"])
def test_an_end_that_is_asked_for_again_is_written_once(world: World, end: str) -> None:
    """Its first answer may have been lost. An end that is not this very one is refused."""

    def ends(word: str) -> None:
        if end == "succeed":
            succeed(world, lease)
        elif end == "fail":
            world.store.fail(lease, RunError("internal", word))
        else:
            world.store.release(lease, reason=word)

    world.submit("a")
    lease = world.claim("a").lease
    ends("x")
    before = world.everything()
    ends("x")
    assert world.everything() == before
    with pytest.raises(LostAuthority):
        world.store.fail(lease, RunError("internal", "y"))
    assert world.everything() == before


def test_a_commit_that_never_arrived_is_not_taken_for_success(proxied: tuple[World, FaultProxy]) -> None:
    world, proxy = proxied
    world.submit("a")
    proxy.watch = nth(1, b"COMMIT", fault=Fault("reset"))
    with pytest.raises(DatabaseUnavailable):
        world.claim("a")
    assert world.events("a") == ["job.submitted"]
    assert world.claim("a").lease.attempt == 1


def test_dropped_idle_connections_heal(postgres: PostgresServer, world: World) -> None:
    world.submit("a")
    lease = world.claim("a").lease
    postgres.restart_immediately()
    world.store.heartbeat(lease)
    postgres.restart_immediately()
    world.store.confirm(lease)


def test_a_stopped_server_is_unavailable_and_back_again(postgres: PostgresServer, world: World) -> None:
    world.submit("a")
    postgres.stop()
    try:
        with pytest.raises(DatabaseUnavailable):
            world.claim("a")
    finally:
        postgres.start()
    world.claim("a")


def test_a_frozen_server_is_given_up_on(postgres: PostgresServer) -> None:
    store = open_store(postgres.create_database(), timeout_s=1)
    store.now()
    (row,) = postgres.execute(
        "SELECT pid FROM pg_stat_activity WHERE application_name = 'ingestctl' AND state = 'idle'"
        " ORDER BY backend_start DESC LIMIT 1"
    )
    os.kill(row[0], signal.SIGSTOP)
    began = time.monotonic()
    try:
        with contextlib.suppress(DatabaseUnavailable):
            store.now()  # may heal on a fresh connection
        assert 1 < time.monotonic() - began < 10
    finally:
        os.kill(row[0], signal.SIGCONT)
        store.close()


def test_refused_is_told_from_unreachable(postgres: PostgresServer, world: World) -> None:
    def error_of(url: str) -> Exception:
        store = open_store(url, timeout_s=2)
        with pytest.raises((DatabaseRefused, DatabaseUnavailable)) as caught:
            store.now()
        store.close()
        return caught.value

    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert isinstance(error_of(f"postgresql://u:s3cret@127.0.0.1:{port}/x"), DatabaseUnavailable)
    assert isinstance(error_of(postgres.url("nowhere")), DatabaseRefused)
    assert isinstance(error_of(world.url.replace("postgres@", "nobody@")), DatabaseRefused)
    hba = postgres.execute("SHOW hba_file")[0][0]
    with open(hba) as file:
        before = file.read()
    postgres.execute("CREATE ROLE locked LOGIN PASSWORD 'right'")
    try:
        with open(hba, "w") as file:
            file.write("host all locked 127.0.0.1/32 scram-sha-256\n" + before)
        postgres.execute("SELECT pg_reload_conf()")
        time.sleep(0.2)
        wrong = error_of(world.url.replace("postgres@", "locked:s3cret@"))
        assert isinstance(wrong, DatabaseRefused)
        assert "s3cret" not in str(wrong)
        right = open_store(world.url.replace("postgres@", "locked:right@"))
        with pytest.raises(DatabaseRefused):  # logged in, but without a grant
            right.job("a")
        right.close()
    finally:
        with open(hba, "w") as file:
            file.write(before)
        postgres.execute("SELECT pg_reload_conf()")


def test_nothing_is_left_in_the_session(postgres: PostgresServer, world: World) -> None:
    """What a pooler in transaction mode requires: any session may serve any transaction."""
    world.submit("a")
    lease = world.claim("a").lease
    for _ in range(8):  # past psycopg's own threshold for preparing
        world.store.heartbeat(lease)
    engine = world.store._db._engine  # type: ignore[attr-defined]
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw.execute("SELECT count(*) FROM pg_prepared_statements").fetchone()[0] == 0
        changed = raw.execute("SELECT name FROM pg_settings WHERE source = 'session'").fetchall()
        held = raw.execute("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'").fetchone()[0]
    assert (changed, held) == ([], 0)


@pytest.mark.parametrize("table", ["jobs", "videos"])
def test_a_locked_row_is_busy_within_two_seconds(world: World, table: str) -> None:
    world.submit("a")
    with psycopg.connect(world.url.replace("+psycopg", "")) as other:
        other.execute(f"SELECT * FROM {table} FOR UPDATE".encode())
        began = time.monotonic()
        with pytest.raises(Busy):
            world.claim("a")
        assert time.monotonic() - began < 2
    world.claim("a")


def test_another_services_event_in_progress_does_not_block_a_claim(world: World) -> None:
    world.submit("a")
    with psycopg.connect(world.url.replace("+psycopg", "")) as other:
        other.execute("INSERT INTO job_events (id, job_id, event_type) VALUES ('e', 'a', 'api.job.seen')")
        world.claim("a")


def test_an_unmigrated_database_says_so(postgres: PostgresServer, tmp_path: Path) -> None:
    for url in (
        postgres.create_database(None),
        f"sqlite:///{tmp_path / 'new.db'}",
        postgres.create_database("platform"),
    ):
        store = open_store(url)
        with pytest.raises(SchemaOutdated) as caught:
            store.check_schema()
        assert "db upgrade" in caught.value.hint
        with pytest.raises(SchemaOutdated):
            store.resolve("a")
        store.close()


@pytest.mark.parametrize(
    "url",
    [
        "mysql://u:s3cret@h/d",
        "postgresql://u:s3/cret@h/d",
        "postgresql://u:s3cret@h:port/d",
        "postgresql://h/d?password=s3cret&nonsense=1",
        "sqlite://",
        "sqlite:///:memory:",
        "jobs.db",
    ],
)
def test_bad_urls_are_refused_without_their_password(url: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        open_store(url)
    assert "s3" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_safe_url_keeps_what_people_need() -> None:
    assert safe_url("postgresql://me:p@ss@db.example:5432/jobs") == "postgresql://me:***@db.example:5432/jobs"
    assert safe_url("postgresql://me@db.example/jobs") == "postgresql://me@db.example/jobs"
    assert safe_url("sqlite:////var/lib/jobs.db") == "sqlite:////var/lib/jobs.db"


def test_sqlite_faults(tmp_path: Path, sqlite_template: Path) -> None:
    missing = open_store(f"sqlite:///{tmp_path / 'no' / 'such.db'}")
    with pytest.raises(DatabaseRefused):
        missing.now()
    garbage = tmp_path / "garbage.db"
    garbage.write_bytes(b"not a database" * 1000)
    with pytest.raises(DatabaseRefused):
        open_store(f"sqlite:///{garbage}").now()
    path = tmp_path / "jobs.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{path}", timeout_s=0.3)
    store.submit(new_job("a"))
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseUnavailable, match="locked"):
        store.claim("a", owner="me", lease_s=60, stale_after_s=60)
    holder.execute("ROLLBACK")
    holder.close()
    store.claim("a", owner="me", lease_s=60, stale_after_s=60)
    store.close()


def test_sqlite_journal_is_the_safe_one(sqlite_template: Path) -> None:
    assert not wal_is_safe((3, 40, 1))
    assert not wal_is_safe((3, 51, 2))
    assert wal_is_safe((3, 51, 3))
    assert wal_is_safe((3, 50, 7))
    assert not wal_is_safe((3, 45, 0))
    mode = "wal" if wal_is_safe(sqlite3.sqlite_version_info) else "delete"
    assert sqlite3.connect(sqlite_template).execute("PRAGMA journal_mode").fetchone()[0] == mode


def test_a_full_disk_is_named(tmp_path: Path, sqlite_template: Path) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(sqlite_template.read_bytes())
    store = open_store(f"sqlite:///{path}")
    engine = store._db._engine  # type: ignore[attr-defined]
    with engine.connect() as connection:  # the same pooled connection serves the next transaction
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(DatabaseUnavailable) as caught:
        store.submit(new_job("a", title="x" * 200_000))
    assert caught.value.cause == "disk_full"
    store.close()
