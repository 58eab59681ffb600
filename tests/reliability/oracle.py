"""What must be true once a job has been run to its end, whatever happened to it on the way."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.reliability.places import Object, Place

Rows = dict[str, list[dict[str, Any]]]


CRASHED = frozenset({"worker_crashed"})


def ingested(place: Place, causes: frozenset[str] = CRASHED) -> list[str]:
    """Violations of: succeeded, nothing lost, nothing twice, no orphan, and the events tell the same.

    ``causes``: of what the attempts before the last may have failed.
    """
    rows, objects = place.rows(), place.objects()
    return [
        *_job(rows),
        *_attempts(rows, causes),
        *_artifacts(place, rows, objects),
        *_video(rows),
        *_hand_off(rows),
        *replayed(rows),
        *place.leftovers(),
        *place.processes(),
    ]


def submitted(place: Place) -> list[str]:
    """Violations of: one video, one queued job, one event, one whole object, nothing else."""
    rows, objects = place.rows(), place.objects()
    counts = {table: len(found) for table, found in rows.items() if found}
    wanted = {"videos": 1, "jobs": 1, "job_events": 1}
    found = [] if counts == wanted else [f"rows {counts}, not {wanted}"]
    key = (place.bucket("UPLOADS"), place.upload_key)
    if {k: o.sha256 for k, o in objects.items()} != {key: key[1][7:71]}:
        found.append(f"objects {objects}, not the file's own")
    # An upload under a key made of its bytes that a dead submission left is aborted by the next one of
    # the same bytes.
    return [*found, *replayed(rows), *place.leftovers(), *place.processes()]


def _ingest_job(rows: Rows) -> dict[str, Any]:
    jobs = [job for job in rows["jobs"] if job["type"] == "ingest"]
    return jobs[0] if len(jobs) == 1 else {}


def _job(rows: Rows) -> Iterator[str]:
    jobs = [job for job in rows["jobs"] if job["type"] == "ingest"]
    if len(rows["videos"]) != 1 or len(jobs) != 1:
        yield f"{len(rows['videos'])} videos and {len(jobs)} ingest jobs"
        return
    shown = {c: jobs[0][c] for c in ("status", "ingestion_phase", "error_message")}
    if shown != {"status": "succeeded", "ingestion_phase": None, "error_message": None}:
        yield f"job {shown}"
    if jobs[0]["finished_at"] is None:
        yield "the job has no end"


def _attempts(rows: Rows, causes: frozenset[str]) -> Iterator[str]:
    runs = sorted(rows["job_runs"], key=lambda run: run["attempt"])
    if [run["attempt"] for run in runs] != list(range(1, len(runs) + 1)):
        yield f"attempts {[run['attempt'] for run in runs]}"
    ends = [(run["status"], run["error_code"]) for run in runs]
    if ends[-1:] != [("succeeded", None)] or any(e[0] != "failed" or e[1] not in causes for e in ends[:-1]):
        yield f"attempts ended {ends}"
    if any(run["finished_at"] is None for run in runs):
        yield "an attempt has no end"


def _artifacts(place: Place, rows: Rows, objects: dict[tuple[str, str], Object]) -> Iterator[str]:
    media = place.media.read_bytes()
    kept = {k: o for k, o in objects.items() if k[0] != place.bucket("UPLOADS")}
    there = {k: (o.size, o.sha256) for k, o in kept.items()}
    recorded = {(r["bucket"], r["key"]): (r["size_bytes"], r["sha256"]) for r in rows["ingest_artifacts"]}
    if there != recorded:
        yield f"objects {there}, recorded {recorded}"
    states = sorted((r["kind"], r["state"]) for r in rows["ingest_artifacts"])
    if states != [("audio", "stored"), ("video", "stored")]:
        yield f"artifact rows {states}"
    source = place.upload_key[7:71]
    if (len(media), source) not in there.values():
        yield "the stored video is not the source's bytes"
    if not any(_is_wav(o) for o in kept.values()):
        yield "no WAV of 16 kHz, mono, 16 bit is stored"
    upload = objects.get((place.bucket("UPLOADS"), place.upload_key))
    if (
        rows["videos"]
        and rows["videos"][0]["source_type"] == "upload"
        and (not upload or upload.sha256 != source)
    ):
        yield "the upload is gone or changed"


def _is_wav(found: Object) -> bool:
    begin = found.head.find(b"fmt ") + 8
    if found.head[:4] != b"RIFF" or begin < 20 or len(found.head) < begin + 16:
        return False
    kind, channels, rate, _, _, bits = struct.unpack("<HHIIHH", found.head[begin : begin + 16])
    size = struct.unpack("<I", found.head[4:8])[0]
    return (kind, channels, rate, bits, size + 8) == (1, 1, 16000, 16, found.size)


def _video(rows: Rows) -> Iterator[str]:
    stored = {r["kind"]: r for r in rows["ingest_artifacts"]}.get("video", {})
    for video in rows["videos"]:
        pointer = video["storage_ref"] or {}
        shown = (
            pointer.get("bucket"),
            pointer.get("key"),
            pointer.get("size_bytes"),
            pointer.get("checksum"),
        )
        wanted = (
            stored.get("bucket"),
            stored.get("key"),
            stored.get("size_bytes"),
            f"sha256:{stored.get('sha256')}",
        )
        if shown != wanted or (video["storage_bucket"], video["storage_key"]) != wanted[:2]:
            yield f"the video row points to {shown}, not {wanted}"
        if not video["duration_ms"]:
            yield "what was learned of the source is lost: the video row has no duration"


def _hand_off(rows: Rows) -> Iterator[str]:
    jobs = [(job["status"], job["idempotency_key"]) for job in rows["jobs"] if job["type"] != "ingest"]
    audio = next((r for r in rows["ingest_artifacts"] if r["kind"] == "audio"), {})
    key = f"transcription:{audio.get('video_id')}:{audio.get('bucket')}:{audio.get('key')}"
    if jobs != [("queued", key)]:
        yield f"hand-off jobs {jobs}"


def replayed(rows: Rows) -> Iterator[str]:
    """Play the events again from nothing and compare with the rows."""
    job = _ingest_job(rows)
    events = [e for e in rows["job_events"] if e["job_id"] == job.get("id")]
    status: str | None = None
    phase: str | None = None
    attempts: dict[int, str] = {}
    for event in sorted(events, key=lambda e: (e["created_at"], e["id"])):
        kind, body = event["event_type"].removeprefix("ingestion."), event["payload"]
        number = body.get("attempt")
        if kind in ("job.submitted", "job.requeued"):
            status, phase = "queued", None
        elif kind == "run.started":
            if "running" in attempts.values():
                yield f"attempt {number} began while another ran"
            status, phase, attempts[number] = "running", "downloading", "running"
        elif kind == "phase.started":
            phase = body["phase"]
        elif kind == "run.expired":
            attempts[number] = "failed"
        elif kind == "job.released":
            status, phase, attempts[number] = "queued", None, "canceled"
        elif kind in ("job.succeeded", "job.failed"):
            word = kind.partition(".")[2]
            status, phase, attempts[number] = word, None, word
        elif kind == "job.status_restored":
            status = body["to"]
    stored = {run["attempt"]: run["status"] for run in rows["job_runs"]}
    if (status, phase, attempts) != (job.get("status"), job.get("ingestion_phase"), stored):
        yield f"events tell {status}/{phase}/{attempts}, rows {job.get('status')}/{stored}"


def requeued(place: Place) -> list[str]:
    """Violations of: the failed job is queued again, once, and nothing else is different."""
    rows = place.rows()
    problems = [*_queued(rows), *_once(rows["job_events"], "event_type", "ingestion.job.requeued")]
    if [(run["attempt"], run["status"]) for run in rows["job_runs"]] != [(1, "failed")]:
        problems.append(f"attempts {rows['job_runs']}")
    # Its check of the store writes a probe of its own; one that died in it may leave that (5 bytes).
    left = [found for found in place.leftovers() if found.startswith("scratch")]
    return [*problems, *replayed(rows), *left, *place.processes()]


def quarantined(place: Place) -> list[str]:
    """Violations of: the damaged video waits in quarantine, the audio is in its place, one incident tells."""
    rows = place.rows()
    incident = rows["ingest_incidents"][0]["id"] if rows["ingest_incidents"] else ""
    video = f"quarantine/{incident}/videos/{rows['videos'][0]['id']}/source.mp4"
    problems = [*_queued(rows), *_two_objects(place, rows, video), *_incident(rows, "done", "closed")]
    problems += _once(rows["job_events"], "event_type", "ingestion.cleanup.completed")
    problems += _once(rows["job_events"], "event_type", "ingestion.job.requeued")
    if [(r["kind"], r["state"]) for r in rows["ingest_artifacts"]] != [("audio", "stored")]:
        problems.append(f"artifact rows {rows['ingest_artifacts']}")
    return [*problems, *replayed(rows), *_left(place), *place.processes()]


def restored(place: Place) -> list[str]:
    """Violations of: what was set aside is back under its key, nothing is in quarantine, and no worker is
    to meet it: the job has its status back."""
    rows = place.rows()
    video = f"videos/{rows['videos'][0]['id']}/source.mp4"
    problems = [
        *_has_status(rows, "succeeded"),
        *_two_objects(place, rows, video),
        *_incident(rows, "undone"),
    ]
    problems += _once(rows["job_events"], "event_type", "ingestion.cleanup.undone")
    problems += _once(rows["job_events"], "event_type", "ingestion.job.status_restored")
    if sorted(r["kind"] for r in rows["ingest_artifacts"]) != ["audio", "video"]:
        problems.append(f"artifact rows {rows['ingest_artifacts']}")
    return [*problems, *replayed(rows), *_left(place), *place.processes()]


def _queued(rows: Rows) -> list[str]:
    return _has_status(rows, "queued")


def _has_status(rows: Rows, status: str) -> list[str]:
    job = _ingest_job(rows)
    shown = (job.get("status"), job.get("ingestion_phase"), job.get("error_message"))
    return [] if shown == (status, None, None) else [f"job {shown}"]


def _once(rows: list[dict[str, Any]], column: str, value: str) -> list[str]:
    count = sum(row[column] == value for row in rows)
    return [] if count == 1 else [f"{value} {count} times"]


def _incident(rows: Rows, *entries: str) -> list[str]:
    states = [(i["kind"], i["status"]) for i in rows["ingest_incidents"]]
    problems = [] if states == [("cleanup", "closed")] else [f"incidents {states}"]
    return [*problems, *(p for e in entries for p in _once(rows["ingest_incident_entries"], "kind", e))]


def _two_objects(place: Place, rows: Rows, video: str) -> list[str]:
    """The damaged bytes (zeros, as many as there were) under ``video``, and the whole audio in its place."""
    audio = f"videos/{rows['videos'][0]['id']}/audio.wav"
    objects = {k: (o.size, o.sha256) for k, o in place.objects().items()}
    zeros = bytes(place.media.stat().st_size)
    recorded = {r["kind"]: r for r in rows["ingest_artifacts"]}.get("audio", {})
    wanted = {
        (place.bucket("VIDEO"), video): (len(zeros), hashlib.sha256(zeros).hexdigest()),
        (place.bucket("AUDIO"), audio): (recorded.get("size_bytes"), recorded.get("sha256")),
    }
    return [] if objects == wanted else [f"objects {objects}, not {wanted}"]


def _left(place: Place) -> list[str]:
    # The damage was done to a folder's file in place, so the record of what it was is left.
    return [found for found in place.leftovers() if "records of" not in found]


def migrated(place: Place) -> list[str]:
    """Violations of: every table, column and index is there, the platform's rows are as they were."""
    from ingestctl.db.migrate import status

    url = place.server.database_url if place.server else f"sqlite:///{place.home / 'ingestctl.db'}"
    found = status(url)
    problems = [] if found.up_to_date else [f"schema at {found.revision}, missing {found.missing}"]
    if place.server is not None:
        counts = {t: place.query(f"SELECT count(*) AS n FROM {t}")[0]["n"] for t in PLATFORM_ROWS}
        if counts != PLATFORM_ROWS:
            problems.append(f"platform rows {counts}, not {PLATFORM_ROWS}")
        invalid = place.query("SELECT indexrelid::regclass::text AS name FROM pg_index WHERE NOT indisvalid")
        problems += [f"index {row['name']} was left invalid" for row in invalid]
    return problems + place.processes()


def schema(place: Place) -> dict[str, list[str]]:
    """Every table, column and index there is, whether it is valid, and the revision."""
    if place.server is None:
        found = place.query("SELECT sql AS it FROM sqlite_master")
    else:
        found = place.query(
            "SELECT concat_ws(' ', table_name, column_name, data_type) AS it FROM information_schema.columns"
            " WHERE table_schema = 'public' UNION ALL"
            " SELECT concat_ws(' ', indexrelid::regclass, indisvalid) FROM pg_index"
            " WHERE indrelid::regclass::text NOT LIKE 'pg_%'"
        )
    items = sorted(str(row["it"]) for row in found)
    known = any("ingestctl_alembic_version" in item for item in items)
    version = place.query("SELECT version_num FROM ingestctl_alembic_version") if known else []
    return {"schema": items, "version": [str(version)]}


PLATFORM_ROWS = {"videos": 6, "jobs": 9, "job_runs": 3, "job_events": 1, "transcripts": 1}
