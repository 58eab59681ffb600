"""Three starting points, one schema: empty SQLite, empty PostgreSQL, the platform's own tables and rows."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic.script import ScriptDirectory

from ingestctl.db.engine import create_engine, open_store
from ingestctl.db.migrate import SchemaStatus, alembic_config, status, upgrade
from ingestctl.db.one_job import HEAD
from ingestctl.db.tables import INDEXES, metadata
from ingestctl.domain.errors import DatabaseUnavailable, SchemaOutdated

if TYPE_CHECKING:
    from pathlib import Path

    from tests.services.postgres import PostgresServer

ALL = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010")
DONE = SchemaStatus(HEAD, HEAD, (), up_to_date=True)


@pytest.fixture(params=["sqlite", "postgresql", "platform"])
def fresh_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'fresh.db'}"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.create_database("platform" if request.param == "platform" else None)


def connect(url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(url.replace("+psycopg", ""), autocommit=True)


def dump(url: str) -> dict[str, Any]:
    """Every table's columns and rows, as far as they are the platform's."""
    engine = create_engine(url, timeout_s=10, pooled=False)
    names = ("videos", "jobs", "job_runs", "job_events", "transcripts")
    with engine.connect() as connection:
        found = {
            n: connection.execute(sa.text(f"SELECT * FROM {n} ORDER BY id")).mappings().all() for n in names
        }
    return {name: [dict(row) for row in rows] for name, rows in found.items()}


def test_the_head_constant_is_alembics_head() -> None:
    assert ScriptDirectory.from_config(alembic_config()).get_current_head() == HEAD


def test_upgrade_twice(fresh_url: str) -> None:
    before = status(fresh_url)
    assert (before.revision, before.up_to_date) == (None, False)
    assert "ingest_artifacts" in before.missing
    done = upgrade(fresh_url)
    assert (done.from_revision, done.to_revision, done.applied) == (None, HEAD, ALL)
    assert status(fresh_url) == DONE
    again = upgrade(fresh_url)
    assert (again.from_revision, again.applied) == (HEAD, ())
    store = open_store(fresh_url)
    store.check_schema()
    store.close()


def test_migrations_make_the_tables_the_program_describes(fresh_url: str) -> None:
    upgrade(fresh_url)
    inspector = sa.inspect(create_engine(fresh_url, timeout_s=10, pooled=False))
    for name, table in metadata.tables.items():
        there = {c["name"]: c for c in inspector.get_columns(name)}
        assert set(there) == set(table.columns.keys()), name
        assert {n for n, c in there.items() if not c["nullable"]} == {
            c.name for c in table.columns if not c.nullable
        }
        keys = inspector.get_pk_constraint(name)["constrained_columns"]
        assert keys == [c.name for c in table.primary_key]


def test_the_platforms_rows_are_left_as_they_are(postgres: PostgresServer) -> None:
    url = postgres.create_database("platform")
    before = dump(url)
    upgrade(url)
    after = dump(url)
    for name, rows in before.items():
        assert [{k: new[k] for k in old} for old, new in zip(rows, after[name], strict=True)] == rows
    added = {k for row in after["jobs"] for k in row} - {k for row in before["jobs"] for k in row}
    assert added == {"ingestion_phase", "error_message"}


def test_an_index_left_invalid_is_rebuilt(postgres: PostgresServer) -> None:
    url = postgres.create_database("platform")
    with connect(url) as connection:
        connection.execute("CREATE INDEX ix_ingest_jobs_queue ON jobs (id)")
        mark = "UPDATE pg_index SET indisvalid = false WHERE indexrelid = %s::regclass"
        connection.execute(mark, ["ix_ingest_jobs_queue"])
        upgrade(url)
        assert status(url) == DONE
        shown = connection.execute("SELECT pg_get_indexdef('ix_ingest_jobs_queue'::regclass)").fetchone()
        assert shown is not None
        assert "queued_at" in shown[0]
        connection.execute(mark, ["ix_ingest_jobs_failed"])
        assert status(url).missing == ("ix_ingest_jobs_failed",)
        upgrade(url)
    assert status(url) == DONE


def test_what_was_dropped_is_made_again(fresh_url: str) -> None:
    upgrade(fresh_url)
    engine = create_engine(fresh_url, timeout_s=10, pooled=False)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP INDEX ix_ingest_events_job"))
        connection.execute(sa.text("DROP TABLE ingest_artifacts"))
    missing = status(fresh_url).missing
    assert set(missing) >= {"ingest_artifacts", "ix_ingest_events_job"}
    done = upgrade(fresh_url)
    assert (done.applied, done.mended) == ((), missing)
    assert status(fresh_url) == DONE


_KILLED = """
import os, signal, sys
from ingestctl.db.migrations import steps
run, count = steps._run, 0
def counted(statement):
    global count
    count += 1
    if count > int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
    run(statement)
steps._run = counted
from ingestctl.db.migrate import upgrade
upgrade(sys.argv[1])
"""


def test_killed_at_any_step_a_second_upgrade_finishes(postgres: PostgresServer, tmp_path: Path) -> None:
    for step in (1, 3, 5, 8, 12):
        for url in (postgres.create_database("platform"), f"sqlite:///{tmp_path / f'{step}.db'}"):
            killed = subprocess.run([sys.executable, "-c", _KILLED, url, str(step)], check=False)
            assert killed.returncode == -9
            assert not status(url).up_to_date
            upgrade(url)
            assert status(url) == DONE


def _upgrade(url: str) -> tuple[str, ...]:
    return upgrade(url).applied


def test_two_upgrades_at_once(fresh_url: str) -> None:
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        applied = pool.map(_upgrade, [fresh_url] * 3, chunksize=1)
    assert sorted(applied) == [(), (), ALL]
    assert status(fresh_url) == DONE


def test_a_busy_table_is_waited_for_in_short_turns(postgres: PostgresServer) -> None:
    url = postgres.create_database("platform")
    holder = psycopg.connect(url.replace("+psycopg", ""))
    holder.execute("UPDATE jobs SET tenant_id = 'x' WHERE id = 'plat-odd'")
    told: list[tuple[str, ...]] = []
    worker = threading.Thread(target=lambda: told.append(_upgrade(url)))
    worker.start()
    waits = []
    with connect(url) as reader:
        for _ in range(8):
            began = time.monotonic()
            reader.execute("SELECT count(*) FROM jobs").fetchone()  # queues behind a waiting ALTER TABLE
            waits.append(time.monotonic() - began)
            time.sleep(0.25)
    assert max(waits) < 1.5
    holder.rollback()
    holder.close()
    worker.join(30)
    assert status(url) == DONE
    assert told == [ALL]  # what the tries before the last one did, too


def test_patience_ends(postgres: PostgresServer) -> None:
    url = postgres.create_database("platform")
    with psycopg.connect(url.replace("+psycopg", "")) as holder:
        holder.execute("LOCK TABLE jobs IN ACCESS SHARE MODE")
        with pytest.raises(DatabaseUnavailable):
            upgrade(url, patience_s=0.5)
    upgrade(url)


def test_a_newer_database_is_left_alone(fresh_url: str) -> None:
    upgrade(fresh_url)
    engine = create_engine(fresh_url, timeout_s=10, pooled=False)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE ingestctl_alembic_version SET version_num = '9999'"))
    store = open_store(fresh_url)
    for call in (store.check_schema, lambda: upgrade(fresh_url)):
        with pytest.raises(SchemaOutdated) as caught:
            call()
        assert "install a newer ingestctl" in caught.value.hint
    store.close()


def test_questions_are_served_by_indexes(postgres: PostgresServer) -> None:
    url = postgres.create_database()
    with connect(url) as c:
        c.execute(
            "INSERT INTO videos (id, source_type, source_uri) SELECT 'v' || n, 'youtube', 'u' || n"
            " FROM generate_series(1, 20000) n"
        )
        c.execute(
            "INSERT INTO jobs (id, video_id, type, status) SELECT md5(n::text), 'v' || n, 'ingest',"
            " CASE WHEN n % 100 = 0 THEN 'failed' WHEN n % 100 = 1 THEN 'queued' ELSE 'succeeded' END"
            " FROM generate_series(1, 20000) n"
        )
        c.execute("ANALYZE")
    store = open_store(url)
    plans = _plans(store)
    store.close()
    for name, plan in plans.items():
        assert name in INDEXES
        assert name in plan, plan


def _plans(store: Any) -> dict[str, str]:
    from ingestctl.db.base import JobFilter
    from ingestctl.domain.job import Status

    failed = store._listing(JobFilter(statuses=frozenset({Status.FAILED})))
    from ingestctl.db.tables import jobs

    newest = (jobs.c.updated_at.desc(), jobs.c.id.desc())
    questions = {
        "ix_ingest_jobs_failed": failed.order_by(*newest).limit(50),
        "ix_ingest_jobs_updated": store._listing(JobFilter()).order_by(*newest).limit(50),
        "ix_ingest_jobs_id_prefix": store._listing(JobFilter(id_prefix="abcd")).limit(11),
    }
    found = {}
    for name, question in questions.items():
        sql = question.compile(store._db._engine, compile_kwargs={"literal_binds": True})
        rows = store._db.read(lambda c, sql=sql: c.exec_driver_sql(f"EXPLAIN {sql}").scalars().all())
        found[name] = "\n".join(rows)
    return found
