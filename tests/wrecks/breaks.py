"""The ways to wreck a whole job: each acts on rows and objects directly, as accidents do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ingestctl.domain.artifact import Kind, ObjectRef
from ingestctl.domain.source import source_of_url
from ingestctl.storage.base import UploadRequest
from tests.wrecks.yard import OTHERS, OURS

if TYPE_CHECKING:
    from tests.wrecks.yard import Yard

HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
MORE_THAN_A_PART = 17 << 20
SIBLING = "sibling"


def nothing(y: Yard) -> None:
    """The job succeeded and all is well."""


# --- objects that are gone


def video_missing(y: Yard) -> None:
    y.hands.remove(y.video)


def audio_missing(y: Yard) -> None:
    y.hands.remove(y.audio)


def both_missing(y: Yard) -> None:
    video_missing(y)
    audio_missing(y)


# --- objects that are damaged


def half(data: bytes) -> bytes:
    return data[: len(data) * 6 // 10]


def flipped(data: bytes) -> bytes:
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def video_truncated(y: Yard) -> None:
    y.damage(y.video, half(y.media.ours[0]))


def audio_truncated(y: Yard) -> None:
    y.damage(y.audio, half(y.media.ours[1]))


def video_flipped(y: Yard) -> None:
    y.damage(y.video, flipped(y.media.ours[0]))


def audio_flipped(y: Yard) -> None:
    y.damage(y.audio, flipped(y.media.ours[1]))


def video_rotten(y: Yard) -> None:
    """Bits that flipped on the store's disks: it still shows the ETag it computed when all was well."""
    video_flipped(y)
    info = y.storage.stat(y.video)
    assert info is not None
    y.set_row(y.video, etag=info.etag)


def video_longer(y: Yard) -> None:
    y.damage(y.video, y.media.ours[0] + b"appended")


def video_empty(y: Yard) -> None:
    y.damage(y.video, b"")


def audio_empty(y: Yard) -> None:
    y.damage(y.audio, b"")


def both_flipped(y: Yard) -> None:
    video_flipped(y)
    audio_flipped(y)


def video_of_another_type(y: Yard) -> None:
    y.hands.put(y.video, y.media.ours[0], "text/html", **y.hands.get(y.video).metadata)


def replaced_by_hand(y: Yard) -> None:
    """Somebody put another file there: as long, playable, and without a word of whose it is."""
    data = y.media.ours[0]
    assert data.count(b"Lavf") == 1
    y.hands.put(y.video, data.replace(b"Lavf", b"Lavx"), "video/mp4")


def restored_from_backup(y: Yard) -> None:
    """The very bytes again, under another ETag and without metadata."""
    y.hands.put(y.video, y.media.ours[0], "video/mp4")


def audio_of_another_video(y: Yard) -> None:
    y.damage(y.audio, y.media.others[1])


def audio_is_the_video(y: Yard) -> None:
    y.hands.put(y.audio, y.media.ours[0], "video/mp4", **y.hands.get(y.video).metadata)


# --- damage older than the record


def truncated_and_recorded(y: Yard) -> None:
    video_truncated(y)
    y.record_what_is_there(y.video)


def html_recorded_as_video(y: Yard) -> None:
    y.damage(y.video, HTML)
    y.record_what_is_there(y.video)


def wrong_rate_recorded(y: Yard) -> None:
    wav = y.media.samples.ffmpeg("wide.wav", "-i", str(y.media.samples.mp4()), "-ar", "44100", "-ac", "1")
    y.damage(y.audio, wav.read_bytes())
    y.record_what_is_there(y.audio)


def half_a_wav_recorded(y: Yard) -> None:
    audio_truncated(y)
    y.record_what_is_there(y.audio)


# --- objects of others


def foreign_over_video(y: Yard) -> None:
    """Another video's original, which says so."""
    y.hands.put(y.video, y.media.others[0], "video/mp4", **y.metadata(Kind.VIDEO, OTHERS, OTHERS))


def foreign_over_audio(y: Yard) -> None:
    y.hands.put(y.audio, y.media.others[1], "audio/wav", **y.metadata(Kind.AUDIO, OTHERS, OTHERS))


def never_stored(y: Yard) -> None:
    """The job failed before anything was stored."""
    for ref in (y.video, y.audio):
        y.hands.remove(ref)
        y.unrecord(ref)
    y.forget_video()
    y.sql("UPDATE job_runs SET status = 'failed', error_code = 'download_timeout' WHERE job_id = :j", j=OURS)
    y.sql("UPDATE jobs SET status = 'failed', finished_at = updated_at WHERE id = :j", j=OURS)


def stranger_under_video(y: Yard) -> None:
    """Something is under the key of a failed job, and nothing says whose it is."""
    never_stored(y)
    y.hands.put(y.video, y.media.others[0], "video/mp4")


def stranger_under_audio(y: Yard) -> None:
    never_stored(y)
    y.hands.put(y.audio, y.media.others[1], "audio/wav")


def foreign_under_video(y: Yard) -> None:
    never_stored(y)
    foreign_over_video(y)


def row_of_another_video(y: Yard) -> None:
    """The database says that our audio's key belongs to the other video."""
    y.set_row(y.audio, video_id=OTHERS, job_id=OTHERS)


def neighbour_beside(y: Yard) -> None:
    """An object of somebody else under the same prefix."""
    y.hands.put(ObjectRef(y.video.bucket, f"videos/{OURS}/notes.txt"), b"by hand", "text/plain")


# --- records


def rows_lost(y: Yard) -> None:
    y.unrecord(y.video, y.audio)


def video_row_lost(y: Yard) -> None:
    y.unrecord(y.video)


def audio_row_lost(y: Yard) -> None:
    y.unrecord(y.audio)


def record_lost(y: Yard) -> None:
    """No rows and no pointer: only the objects say whose they are."""
    rows_lost(y)
    y.forget_video()


def rows_lost_audio_swapped(y: Yard) -> None:
    rows_lost(y)
    audio_of_another_video(y)


def storage_ref_null(y: Yard) -> None:
    y.set_json("videos.storage_ref", None)


def pointers_astray(y: Yard) -> None:
    ref = {"provider": "s3", "bucket": y.video.bucket, "key": "videos/elsewhere.mp4"}
    y.set_json("videos.storage_ref", ref)
    y.sql("UPDATE videos SET storage_key = 'videos/elsewhere.mp4' WHERE id = :id", id=OURS)


def size_wrong_in_storage_ref(y: Yard) -> None:
    ref = {"provider": "s3", "bucket": y.video.bucket, "key": y.video.key, "size_bytes": 1}
    y.set_json("videos.storage_ref", ref)


def size_wrong_on_record(y: Yard) -> None:
    """In the row and in storage_ref alike: only the checksum still tells the truth."""
    size_wrong_in_storage_ref(y)
    y.set_row(y.video, size_bytes=1)


def metadata_json_null(y: Yard) -> None:
    y.sql("UPDATE videos SET metadata = 'null' WHERE id = :id", id=OURS)


def metadata_empty(y: Yard) -> None:
    y.set_json("videos.metadata", {})


def payload_null(y: Yard) -> None:
    y.set_json("jobs.payload", None)


def payload_broken(y: Yard) -> None:
    never_stored(y)
    y.set_json("jobs.payload", [1])


def legacy(y: Yard) -> None:
    """As the worker before ingestctl left it: objects without metadata, a bare pointer, an old word."""
    rows_lost(y)
    for ref, data in zip((y.video, y.audio), y.media.ours, strict=True):
        y.hands.put(ref, data, "audio/wav" if ref == y.audio else "video/mp4")
    y.set_json("videos.storage_ref", {"bucket": y.video.bucket, "key": y.video.key})
    y.sql("UPDATE jobs SET status = 'completed' WHERE id = :id", id=OURS)


def completed(y: Yard) -> None:
    y.sql("UPDATE jobs SET status = 'completed' WHERE id = :id", id=OURS)


def pending(y: Yard) -> None:
    never_stored(y)
    y.sql("UPDATE jobs SET status = 'pending' WHERE id = :id", id=OURS)


# --- attempts that ended half-way


def _reset_row(y: Yard, ref: ObjectRef, state: str) -> None:
    bare = {"size_bytes": None, "sha256": None, "content_type": None} if state == "reserved" else {}
    y.set_row(ref, state=state, etag=None, stored_at=None, **bare)


def _failed(y: Yard, cause: str = "download_timeout") -> None:
    y.sql("UPDATE job_runs SET status = 'failed', error_code = :c WHERE job_id = :j", c=cause, j=OURS)
    y.sql("UPDATE jobs SET status = 'failed' WHERE id = :j", j=OURS)
    y.forget_video()


def _upload(y: Yard, ref: ObjectRef) -> None:
    session = y.storage.begin(UploadRequest(ref, "video/mp4", y.metadata(Kind.VIDEO)))
    session.append(b"x" * MORE_THAN_A_PART)


def reserved_only(y: Yard) -> None:
    """It failed after the keys were reserved, before a byte was stored."""
    both_missing(y)
    for ref in (y.video, y.audio):
        _reset_row(y, ref, "reserved")
    _failed(y)


def staged_without_object(y: Yard) -> None:
    both_missing(y)
    for ref in (y.video, y.audio):
        _reset_row(y, ref, "staged")
    _failed(y)


def staged_with_objects(y: Yard) -> None:
    """Both objects were published and the commit never came."""
    for ref in (y.video, y.audio):
        _reset_row(y, ref, "staged")
    _failed(y)


def staged_and_damaged(y: Yard) -> None:
    staged_with_objects(y)
    video_truncated(y)


def unfinished_upload(y: Yard) -> None:
    reserved_only(y)
    _upload(y, y.video)


def upload_beside_a_whole_job(y: Yard) -> None:
    _upload(y, y.video)


def worker_lost(y: Yard) -> None:
    """Killed while the original went up; its lease has run out."""
    never_stored(y)
    lease = y.claim()
    y.store.reserve(lease, y.video, Kind.VIDEO)
    _upload(y, y.video)
    y.sql("UPDATE job_runs SET lease_expires_at = heartbeat_at WHERE id = :r", r=lease.run_id)


def running_without_a_run(y: Yard) -> None:
    """An older worker wrote only the job's status."""
    never_stored(y)
    y.sql("DELETE FROM job_runs WHERE job_id = :j", j=OURS)
    y.sql("UPDATE jobs SET status = 'running' WHERE id = :j", j=OURS)


def live(y: Yard) -> None:
    never_stored(y)
    y.claim()


def live_upload(y: Yard) -> None:
    never_stored(y)
    y.store.reserve(y.claim(), y.video, Kind.VIDEO)
    _upload(y, y.video)


def sibling_live(y: Yard) -> None:
    """Our audio is damaged, and another job of the same video is at work."""
    audio_flipped(y)
    y.submit(SIBLING, source_of_url(f"{y.url}?again"))
    y.sql("UPDATE jobs SET video_id = :v WHERE id = :j", v=OURS, j=SIBLING)
    y.claim(SIBLING)


# --- failures


def after_fix(y: Yard) -> None:
    never_stored(y)
    y.fail(cause="download_blocked")


def for_good(y: Yard) -> None:
    never_stored(y)
    y.fail(cause="invalid_source")


def used_up(y: Yard) -> None:
    never_stored(y)
    for _ in range(5):
        y.fail()


def canceled(y: Yard) -> None:
    never_stored(y)
    y.sql("UPDATE jobs SET status = 'canceled' WHERE id = :j", j=OURS)


def canceled_and_damaged(y: Yard) -> None:
    audio_flipped(y)
    y.sql("UPDATE jobs SET status = 'canceled' WHERE id = :j", j=OURS)


def source_gone(y: Yard) -> None:
    never_stored(y)
    y.source.rules["v.mp4"] = "404"
