"""Rows that other writers, or mistakes, may leave in the platform's tables."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.acceptance.worlds import World

STAMP = "2026-01-01 00:00:00.000+00"
EVIL = "a\x1b[31mred\x07 \u202egnp.exe\u2066 [bold]x[/] \x9b2J\r\n\tcell\u200b\u2028"

IDS = {
    "id dots": "../../../etc/passwd",
    "id slashes": "a//b/../c",
    "id control": "ctl\x1b[31m\r\n\x07\x9b",
    "id long": "L" * 1000,
    "id unicode": "\u0436e\u0301\U0001f642",
    "id dash": "-x",
    "id option": "--job-id=-x",
    "id bidi": "\u202egnp.exe\u2066",
    "id wildcards": "%_[a]*\\",
    "id blanks": " two words ",
    "id quotes": "'\"`$(id);",
}

DEEP = "[" * 10_000 + "]" * 10_000
HALF_DEEP = "[" * 900 + "]" * 900
"""Deep enough to break what recurses twice a level, not what reads JSON."""
PAYLOADS = {
    "array": "[1, 2]",
    "string": '"text"',
    "number": "12",
    "true": "true",
    "null": "null",
    "empty": "{}",
    "json in a string": json.dumps(
        json.dumps({"source": {"kind": "external_url", "url": "https://127.0.0.2/x"}})
    ),
    "deep": DEEP,
    "half deep": '{"metadata": {"x": ' + HALF_DEEP + "}}",
    "twice": '{"source": {"kind": "upload"}, "source": {"kind": "external_url", "url": "http://127.0.0.2/"}}',
    "source list": '{"source": [], "artifacts": 7, "metadata": "x"}',
    "kind number": '{"source": {"kind": 7, "url": {"a": 1}}}',
    "url list": '{"source": {"kind": "external_url", "url": ["https://127.0.0.2/"]}}',
    "url control": json.dumps({"source": {"kind": "external_url", "url": f"https://127.0.0.2/{EVIL}"}}),
    "upload dots": '{"source": {"kind": "upload", "upload_ref": "../../etc/passwd"}}',
    "key dots": '{"artifacts": {"video": {"bucket": "raw-videos", "object_key": "../../../x"}}}',
    "key evil": json.dumps({"artifacts": {"audio": {"object_key": f"videos/{EVIL}"}}}),
    "bucket dots": '{"artifacts": {"audio": {"bucket": "../..", "object_key": "x"}}}',
    "bucket absolute": '{"artifacts": {"audio": {"bucket": "/etc", "object_key": "passwd"}}}',
    "infinite": '{"metadata": {"n": 1e999, "m": -1e999}}',
    "huge numbers": '{"source": {"kind": "external_url", "url": ' + "9" * 5000 + "}}",
}
NOT_JSON = {
    "lone": '{"source": {"kind": "external_url", "url": "https://127.0.0.2/\\ud800"}}',
    "not json": '{"source": ',
    "nan": '{"a": NaN, "b": Infinity}',
    "bare": "source=x",
    "nul": '{"source": {"kind": "external_url", "url": "https://127.0.0.2/\\u0000"}}',
    "deepest": "[" * 100_000,
}
"""Only SQLite keeps what is not JSON, or no text; PostgreSQL refuses the row."""

VIDEO_COLUMNS = {
    "ref array": {"storage_ref": "[1]"},
    "ref string": {"storage_ref": '"s3://x/y"'},
    "ref wrong": {"storage_ref": '{"provider": 7, "bucket": [], "key": {"a": 1}, "size_bytes": "many"}'},
    "ref dots": {"storage_ref": '{"provider": "s3", "bucket": "..", "key": "../../etc/passwd"}'},
    "ref deep": {"storage_ref": DEEP},
    "metadata array": {"metadata": "[]"},
    "metadata deep": {"metadata": HALF_DEEP},
    "title": {"title": EVIL, "channel": EVIL},
    "title long": {"title": "t" * 100_000},
    "bucket": {"storage_bucket": "../..", "storage_key": "/etc/passwd"},
}
JOB_COLUMNS = {
    "status": {"status": "fin\x1b[31mished"},
    "phase": {"status": "running", "ingestion_phase": EVIL},
    "error": {"status": "failed", "error_message": EVIL + "e" * 50_000},
}


def plant(world: World) -> list[str]:
    """Write every such row by plain SQL; the ids of the jobs."""
    planter = _Planter(world)
    for name, job_id in IDS.items():
        planter.job(name, job_id=job_id, video_id=f"v {job_id}")
    sqlite = world.kind == "sqlite"
    for name, payload in {**PAYLOADS, **(NOT_JSON if sqlite else {})}.items():
        planter.job(f"payload {name}", payload=payload)
    for name, columns in VIDEO_COLUMNS.items():
        planter.job(f"video {name}", video=columns)
    for name, columns in JOB_COLUMNS.items():
        planter.job(f"job {name}", job=columns)
    return planter.ids


class _Planter:
    def __init__(self, world: World) -> None:
        self._world = world
        self.ids: list[str] = []

    def job(
        self,
        name: str,
        *,
        job_id: str | None = None,
        video_id: str | None = None,
        payload: str | None = None,
        video: dict[str, Any] | None = None,
        job: dict[str, Any] | None = None,
    ) -> None:
        slug = name.replace(" ", "-")
        job_id, video_id = job_id or f"j-{slug}", video_id or f"v-{slug}"
        stamps = {"created_at": STAMP, "updated_at": STAMP}
        source = {"source_type": "external_url", "source_uri": f"https://127.0.0.2/{slug}"}
        self._insert("videos", {"id": video_id, **source, "metadata": "{}", **stamps, **(video or {})})
        words = {"id": job_id, "video_id": video_id, "type": "ingest", "status": "failed", "payload": payload}
        self._insert("jobs", {**words, "queued_at": STAMP, **stamps, **(job or {})})
        self._history(job_id)
        self.ids.append(job_id)

    def _history(self, job_id: str) -> None:
        """An attempt and an event with as much in them."""
        run_id = f"r {job_id}"
        run = {"id": run_id, "job_id": job_id, "attempt": 1, "status": "failed", "error_code": EVIL}
        kept = [{"at": "whenever", "event": EVIL, "level": 7}, "x", {"event": ["y"], "at": 5}]
        more = {"error_message": EVIL, "error_details": json.dumps([EVIL]), "lease_owner": EVIL}
        stamps = {"created_at": STAMP, "updated_at": STAMP, "started_at": STAMP, "finished_at": STAMP}
        self._insert("job_runs", {**run, **more, **stamps, "metadata": json.dumps({"log": kept})})
        event = {"id": f"e {job_id}", "job_id": job_id, "run_id": run_id, "event_type": f"x.{EVIL}.failed"}
        self._insert("job_events", {**event, "payload": HALF_DEEP, "created_at": STAMP})

    def _insert(self, table: str, values: dict[str, Any]) -> None:
        marks = ", ".join("?" * len(values))
        self._world.query(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", *values.values())


def everyday(job_id: str) -> Iterator[list[str]]:
    """What an operator does with one job, whatever its name."""
    for words in ("inspect", "logs", "verify-artifacts", "retry --dry-run", "cleanup --dry-run", "run"):
        yield [*words.split(), "--", job_id]
    yield ["inspect", f"--job-id={job_id}"]


FLEET = (
    ["jobs", "--limit=1000"],
    ["jobs", "--status=failed", "--source=127.0.0.2", "--limit=1000"],
    ["escalate", "--since=9999d"],
    ["escalate", "--since=9999d", "--open", "--archive"],
    ["verify-artifacts", "--all"],
    ["verify-artifacts", "--status=failed"],
    ["retry", "--status=failed", "--dry-run"],
    ["cleanup", "--status=failed", "--dry-run"],
    ["incidents", "list"],
)
