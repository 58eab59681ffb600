"""Prepared wrecks, on a folder and on the real S3 server: what each level must say of them."""

from __future__ import annotations

import shutil
import struct
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.errors import Exit
from ingestctl.domain.source import Buckets
from ingestctl.domain.verification import Level, exit_of
from ingestctl.ops.verify import verify_job
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.local import LocalStorage
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
from tests.contracts.jobstore_world import World
from tests.integration.verify_world import Place
from tests.media_samples import Samples

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from ingestctl.domain.job import Job

RATE = ("-ar", "16000", "-ac", "1", "-c:a", "pcm_s16le", "-bitexact", "-map_metadata", "-1")


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    return Samples(tmp_path_factory.mktemp("verify"), seconds=3)


def video_bytes(media: Samples) -> bytes:
    return media.mp4().read_bytes()


def audio_of(media: Samples) -> bytes:
    """As the pipeline extracts it: the very same bytes."""
    from ingestctl.domain.stop import Stop
    from ingestctl.media.ffmpeg_tool import FFmpegTool

    path = media.folder / "extracted" / "audio.wav"
    if not path.exists():
        path.parent.mkdir()
        tool = FFmpegTool(lambda: media.tools)
        tool.extract_audio(media.mp4(), tool.probe(media.mp4(), Stop()), path.parent, Stop())
    return path.read_bytes()


def other_audio(media: Samples, seconds: float = 3.0) -> bytes:
    """Another recording of (by default) the same length."""
    noise = f"anoisesrc=d={seconds}:a=0.3:r=44100:seed=99"
    return media.ffmpeg(f"other{seconds}.wav", "-f", "lavfi", "-i", noise, *RATE).read_bytes()


@pytest.fixture(params=["folder", "s3"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    made = folder_place(request, tmp_path) if request.param == "folder" else s3_place(request, tmp_path)
    yield made
    made.world.close()
    made.storage.close()


def folder_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    template = request.getfixturevalue("sqlite_template")
    world = World(f"sqlite:///{shutil.copy(template, tmp_path / 'jobs.db')}")
    storage = LocalStorage(tmp_path / "objects")
    buckets = Buckets()
    for bucket in (buckets.video, buckets.audio):
        storage.ensure_bucket(bucket)

    def path(ref: ObjectRef) -> Path:
        return tmp_path / "objects" / ref.bucket / ref.key

    def rewrite(ref: ObjectRef, data: bytes) -> None:
        path(ref).write_bytes(data)

    return Place(world, storage, buckets, tmp_path / "scratch", rewrite, lambda ref: path(ref).unlink())


def s3_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    server = request.getfixturevalue("s3_server")
    client, fresh = request.getfixturevalue("s3_client"), request.getfixturevalue("s3_bucket_name")
    world = World(request.getfixturevalue("postgres").create_database("migrated"))
    storage = S3Storage(S3Options(server.endpoint, access_key=server.access, secret_key=server.secret))
    buckets = Buckets(fresh(), fresh(), fresh())
    for bucket in (buckets.video, buckets.audio):
        client.create_bucket(Bucket=bucket)

    def rewrite(ref: ObjectRef, data: bytes) -> None:
        types = {"ContentType": "audio/wav" if ref.key.endswith(".wav") else "video/mp4"}
        client.put_object(Bucket=ref.bucket, Key=ref.key, Body=data, **types)

    def remove(ref: ObjectRef) -> None:
        client.delete_object(Bucket=ref.bucket, Key=ref.key)

    return Place(world, storage, buckets, tmp_path / "scratch", rewrite, remove, client)


# --- the wrecks: each damages a whole job


def truncated(p: Place, job: Job, media: Samples) -> None:
    video = video_bytes(media)
    p.rewrite(p.refs(job)[0], video[: len(video) * 6 // 10])


def truncated_and_recorded(p: Place, job: Job, media: Samples) -> None:
    truncated(p, job, media)
    p.same_as_stored(p.refs(job)[0])
    p.world.sql("UPDATE videos SET storage_ref = NULL")


def zero_bytes(p: Place, job: Job, media: Samples) -> None:
    p.rewrite(p.refs(job)[1], b"")


def flipped(p: Place, job: Job, media: Samples) -> None:
    video = bytearray(video_bytes(media))
    video[len(video) // 2] ^= 1
    p.rewrite(p.refs(job)[0], bytes(video))


def longer(p: Place, job: Job, media: Samples) -> None:
    p.rewrite(p.refs(job)[0], video_bytes(media) + b"x")


def written_again(p: Place, job: Job, media: Samples) -> None:
    """The same bytes under another ETag, as a migration or a restore leaves them."""
    p.rewrite(p.refs(job)[0], video_bytes(media))
    p.row(p.refs(job)[0], etag="another")


def swapped(p: Place, job: Job, media: Samples) -> None:
    p.rewrite(p.refs(job)[1], other_audio(media, 4.0)[: len(audio_of(media))])


def swapped_and_recorded(p: Place, job: Job, media: Samples) -> None:
    p.rewrite(p.refs(job)[1], other_audio(media))
    p.same_as_stored(p.refs(job)[1])


def too_short_and_recorded(p: Place, job: Job, media: Samples) -> None:
    p.rewrite(p.refs(job)[1], other_audio(media, 1.5))
    p.same_as_stored(p.refs(job)[1])


def wrong_format(p: Place, job: Job, media: Samples) -> None:
    wav = media.ffmpeg("stereo.wav", "-i", str(media.mp4()), "-ar", "44100", "-ac", "2")
    p.rewrite(p.refs(job)[1], wav.read_bytes())
    p.same_as_stored(p.refs(job)[1])


def half_a_wav(p: Place, job: Job, media: Samples) -> None:
    wav = audio_of(media)
    p.rewrite(p.refs(job)[1], wav[: len(wav) // 2])
    p.same_as_stored(p.refs(job)[1])


def undecodable(p: Place, job: Job, media: Samples) -> None:
    video = bytearray(video_bytes(media))
    at = video.index(b"mdat") + 4
    video[at : at + 20_000] = bytes(20_000)
    p.rewrite(p.refs(job)[0], bytes(video))
    p.same_as_stored(p.refs(job)[0])
    p.world.sql("UPDATE videos SET storage_ref = NULL")


def foreign_by_metadata(p: Place, job: Job, media: Samples) -> None:
    ref = p.refs(job)[0]
    p.remove(ref)
    p.put(ref, video_bytes(media), "video/mp4", **{"ingest-video": "another"})


def foreign_by_row(p: Place, job: Job, media: Samples) -> None:
    p.row(p.refs(job)[1], video_id="another")


def rows_lost(p: Place, job: Job, media: Samples) -> None:
    p.world.sql("DELETE FROM ingest_artifacts")


def nothing_on_record(p: Place, job: Job, media: Samples) -> None:
    """Objects without metadata of ours, and no word of them in the database."""
    rows_lost(p, job, media)
    p.world.sql("UPDATE videos SET storage_ref = NULL, storage_bucket = NULL, storage_key = NULL")
    for ref, data in zip(p.refs(job), (video_bytes(media), audio_of(media)), strict=True):
        p.rewrite(ref, data)


def named_but_swapped(p: Place, job: Job, media: Samples) -> None:
    """No rows, and beside the video an audio that says it is this video's and is not."""
    rows_lost(p, job, media)
    ref = p.refs(job)[1]
    p.remove(ref)
    p.put(ref, other_audio(media), "audio/wav", **{"ingest-video": job.video_id})


def reserved_only(p: Place, job: Job, media: Samples) -> None:
    p.remove(p.refs(job)[1])
    p.row(p.refs(job)[1], state="reserved", sha256=None, etag=None, size_bytes=None)


def published_not_committed(p: Place, job: Job, media: Samples) -> None:
    for ref in p.refs(job):
        p.row(ref, state="staged", etag=None, stored_at=None)
    p.world.sql("UPDATE jobs SET status = 'failed'")


def unfinished_upload(p: Place, job: Job, media: Samples) -> None:
    p.remove(p.refs(job)[1])
    p.storage.begin(UploadRequest(p.refs(job)[1], "audio/wav")).append(b"x" * (17 << 20))


def metadata_null(p: Place, job: Job, media: Samples) -> None:
    p.world.sql("UPDATE videos SET metadata = 'null'")


def pointer_astray(p: Place, job: Job, media: Samples) -> None:
    p.world.sql("UPDATE videos SET storage_key = 'elsewhere.mp4'")


def wrong_kind(p: Place, job: Job, media: Samples) -> None:
    p.row(p.refs(job)[1], kind="video")


def payload_broken(p: Place, job: Job, media: Samples) -> None:
    p.world.sql("UPDATE jobs SET payload = '[1]'")


def whole(p: Place, job: Job, media: Samples) -> None:
    pass


WRECKS: dict[Callable[[Place, Job, Samples], None], tuple[str, str, str]] = {
    # video, audio, record at: exists, checksum, decode
    whole: ("intact intact intact",) * 3,
    payload_broken: ("intact intact intact",) * 3,
    truncated: ("partial intact intact",) * 3,
    truncated_and_recorded: ("intact intact partial", "intact intact partial", "partial intact partial"),
    zero_bytes: ("intact partial intact",) * 3,
    flipped: ("corrupt intact intact",) * 3,
    longer: ("corrupt intact intact",) * 3,
    written_again: ("intact intact intact",) * 3,
    swapped: ("intact corrupt intact",) * 3,
    swapped_and_recorded: ("intact intact intact",) * 3,  # found by --compare-audio, below
    too_short_and_recorded: ("intact intact intact", "intact intact intact", "intact corrupt intact"),
    wrong_format: ("intact intact intact", "intact intact intact", "intact corrupt intact"),
    half_a_wav: ("intact intact intact", "intact intact intact", "intact partial intact"),
    undecodable: ("intact intact partial", "intact intact partial", "corrupt intact partial"),
    foreign_by_metadata: ("foreign intact intact",) * 3,
    foreign_by_row: ("intact foreign corrupt",) * 3,
    rows_lost: ("intact unknown partial", "intact unknown partial", "intact intact partial"),
    nothing_on_record: ("unknown unknown missing", "unknown unknown missing", "foreign foreign missing"),
    named_but_swapped: ("intact unknown partial", "intact unknown partial", "intact corrupt partial"),
    reserved_only: ("intact missing partial",) * 3,
    published_not_committed: ("intact intact partial",) * 3,
    unfinished_upload: ("intact missing intact",) * 3,
    metadata_null: ("intact intact partial",) * 3,
    pointer_astray: ("intact intact corrupt",) * 3,
    wrong_kind: ("intact intact corrupt",) * 3,
}


@pytest.mark.parametrize("wreck", WRECKS, ids=lambda w: w.__name__)
def test_every_wreck_is_told_for_what_it_is(
    place: Place, media: Samples, wreck: Callable[[Place, Job, Samples], None]
) -> None:
    job = place.ingested(video_bytes(media), audio_of(media))
    wreck(place, job, media)
    before = place.world.everything()
    for level, expected in zip(Level, WRECKS[wreck], strict=True):
        found = place.look(job, level)
        said = [(f.subject.value, f.evidence) for f in found.findings]
        assert " ".join(f.verdict for f in found.findings) == expected, f"{level}: {said}"
        assert all(f.evidence for f in found.findings)
        assert (len(found.strays) == 1) == (wreck is unfinished_upload)
    assert place.world.everything() == before, "looking changes nothing"
    assert not list(place.scratch.glob("*")), "scratch is empty again"


def test_a_swapped_audio_of_the_same_length_is_found_by_comparing(place: Place, media: Samples) -> None:
    job = place.ingested(video_bytes(media), audio_of(media))
    same = place.look(job, Level.DECODE, compare_audio=True)
    assert same.verdict is Verdict.INTACT
    assert "same bytes" in same.findings[1].evidence
    swapped_and_recorded(place, job, media)
    found = place.look(job, Level.DECODE, compare_audio=True)
    assert [f.verdict for f in found.findings] == ["intact", "corrupt", "intact"]
    assert "not this video's audio" in found.findings[1].evidence
    assert exit_of([found.verdict]) is Exit.VERIFICATION_FAILED


def test_another_resamplers_audio_is_the_same_sound(place: Place, media: Samples) -> None:
    """Another ffmpeg rounds otherwise: other bytes, the same sound."""
    wav = bytearray(audio_of(media))
    start = wav.index(b"data") + 8
    samples = struct.unpack(f"<{(len(wav) - start) // 2}h", wav[start:])
    rounded = [max(-32768, min(32767, s + (1, -1, 0)[n % 3])) for n, s in enumerate(samples)]
    wav[start:] = struct.pack(f"<{len(samples)}h", *rounded)
    job = place.ingested(video_bytes(media), bytes(wav))
    found = place.look(job, Level.DECODE, compare_audio=True).findings[1]
    assert found.verdict is Verdict.INTACT
    assert "correlates 1.000" in found.evidence


def test_a_wrong_content_type_is_told(request: pytest.FixtureRequest, tmp_path: Path, media: Samples) -> None:
    place = s3_place(request, tmp_path)
    job = place.ingested(video_bytes(media), audio_of(media))
    ref = place.refs(job)[0]
    place.s3.put_object(Bucket=ref.bucket, Key=ref.key, Body=video_bytes(media), ContentType="text/html")
    found = place.look(job, Level.EXISTS).findings[0]
    assert found.verdict is Verdict.CORRUPT
    assert "text/html" in found.evidence
    place.world.close()


def test_a_job_that_never_ran_has_nothing(place: Place) -> None:
    found = place.look(place.submit(), Level.CHECKSUM)
    assert [f.verdict for f in found.findings] == ["missing", "missing", "missing"]
    assert "the job is queued" in found.findings[2].evidence


def test_a_live_jobs_objects_are_not_judged(place: Place) -> None:
    job = place.submit()
    lease = place.world.claim(job.id).lease
    place.storage.begin(UploadRequest(place.refs(job)[0], "video/mp4")).append(b"x" * (17 << 20))
    assert [f.verdict for f in place.look(job, Level.DECODE).findings] == ["unknown"] * 3
    assert place.look(job, Level.EXISTS).strays == ()
    place.world.store.fail(lease, error=type("E", (), {"code": "internal", "message": "x", "details": {}})())
    found = place.look(job, Level.EXISTS)
    assert [f.verdict for f in found.findings] == ["missing"] * 3
    assert len(found.strays) == 1


def test_results_are_recorded_unless_unknown(place: Place, media: Samples) -> None:
    job = place.ingested(video_bytes(media), audio_of(media))
    flipped(place, job, media)
    before = place.world.store.now()
    verify_job(place.world.store, place.verifier(), job.id, Level.CHECKSUM)
    verdicts = {a.kind.value: (a.verdict, a.verified_at) for a in place.world.store.artifacts(job.video_id)}
    assert {k: v for k, (v, _) in verdicts.items()} == {"video": "corrupt", "audio": "intact"}
    assert all(at is not None and at >= before for _, at in verdicts.values())
    gone = place.verifier(LocalStorage(place.scratch / "nowhere"))
    found = verify_job(place.world.store, gone, job.id, Level.EXISTS)
    assert [f.verdict for f in found.findings[:2]] == ["unknown", "unknown"]
    assert {a.verdict for a in place.world.store.artifacts(job.video_id)} == {"corrupt", "intact"}
