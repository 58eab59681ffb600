"""The third line: what the database says of a job's artifacts, and whether it agrees with itself. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.job import Status
from ingestctl.domain.verification import Finding, Subject

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ingestctl.domain.job import Job, Run, Video
    from ingestctl.ops.look import Look
    from ingestctl.storage.base import ObjectInfo


@dataclass(frozen=True, slots=True)
class Record:
    """All that the database says of one job's artifacts."""

    job: Job
    video: Video | None
    refs: Mapping[Kind, ObjectRef]
    """Where the two objects belong."""
    rows: Mapping[ObjectRef, Artifact]
    """The artifact rows of those two places, whichever video they are for."""
    pointers: Mapping[ObjectRef, Sequence[str]]
    """The ids of all videos whose rows point to those places."""
    holder: Run | None
    """The live attempt, if the job has one."""
    lacks_metadata: bool

    def row(self, kind: Kind) -> Artifact | None:
        """This video's own row for that object."""
        row = self.rows.get(self.refs[kind])
        return row if row is not None and row.video_id == self.job.video_id else None


def judge_record(record: Record, seen: Mapping[Kind, Look]) -> Finding:
    """Missing: nothing is recorded. Corrupt: it contradicts itself or storage. Partial: incomplete."""
    job, video = record.job, record.video
    if video is None:
        return _finding(Verdict.MISSING, f"there is no video row {job.video_id}")
    if record.holder is not None:
        return _finding(Verdict.UNKNOWN, f"attempt {record.holder.attempt} is live and still writes it")
    own = [row for kind in Kind if (row := record.row(kind)) is not None]
    if not own and video.storage_ref is None and not video.storage_key:
        why = "nothing was recorded" if job.status is Status.SUCCEEDED else f"the job is {job.status}"
        return _finding(Verdict.MISSING, f"no artifact row and no storage_ref: {why}")
    wrong = [*_contradictions(record, seen)]
    if wrong:
        return _finding(Verdict.CORRUPT, "; ".join(wrong))
    lacking = [*_lacking(record)]
    if lacking:
        return _finding(Verdict.PARTIAL, "; ".join(lacking))
    return _finding(Verdict.INTACT, "video row, storage_ref and both artifact rows agree; job succeeded")


def _finding(verdict: Verdict, evidence: str) -> Finding:
    return Finding(Subject.RECORD, verdict, evidence)


def _contradictions(record: Record, seen: Mapping[Kind, Look]) -> Iterator[str]:
    video = record.video
    assert video is not None  # noqa: S101  (the caller looked)
    ref = record.refs[Kind.VIDEO]
    if record.refs[Kind.AUDIO] == ref:
        yield f"video and audio both name {ref} as their object"
    if (video.storage_bucket or video.storage_key) and (video.storage_bucket, video.storage_key) != (
        ref.bucket,
        ref.key,
    ):
        yield f"storage_bucket and storage_key name {video.storage_bucket}/{video.storage_key}, not {ref}"
    yield from _storage_ref_contradictions(record, ref, seen[Kind.VIDEO].info)
    for kind in Kind:
        row = record.rows.get(record.refs[kind])
        if row is not None and row.video_id != video.id:
            yield f"{row.ref} is recorded for video {row.video_id}"
        elif row is not None and row.kind is not kind:
            yield f"{row.ref} is recorded as {row.kind}, and it is the {kind}"
        yield from _wrong_size(seen[kind])


def _wrong_size(look: Look) -> Iterator[str]:
    """Of an object that has the SHA-256 on record and not the size, the size on record is what is wrong."""
    size = look.expected.size_bytes if look.expected else None
    if look.bytes_intact and look.info and size not in (None, look.info.size_bytes):
        has = f"the object with the SHA-256 on record has {look.info.size_bytes}"
        yield f"the record says that the {look.kind} has {size} bytes, and {has}"


def _storage_ref_contradictions(record: Record, ref: ObjectRef, info: ObjectInfo | None) -> Iterator[str]:
    pointer = record.video.storage_ref if record.video else None
    if pointer is None:
        return
    if (pointer.get("bucket"), pointer.get("key")) != (ref.bucket, ref.key):
        yield f"storage_ref names {pointer.get('bucket')}/{pointer.get('key')}, not {ref}"
        return
    row = record.row(Kind.VIDEO)
    size = pointer.get("size_bytes")
    # With a row, the object is measured against that; damage to the object is no fault of the record.
    said, where = (row.size_bytes, "the artifact row") if row else (info and info.size_bytes, "storage")
    if size is not None and said is not None and said != size:
        yield f"storage_ref says {size} bytes and {where} says {said}"
    checksum = pointer.get("checksum")
    if checksum is not None and row and row.sha256 and checksum != f"sha256:{row.sha256}":
        yield "storage_ref's checksum is not the artifact row's"
    kind = pointer.get("content_type")
    if kind is not None and row and row.content_type and kind != row.content_type:
        yield f"storage_ref says {kind} and the artifact row {row.content_type}"


def _lacking(record: Record) -> Iterator[str]:
    video = record.video
    assert video is not None  # noqa: S101  (the caller looked)
    if record.lacks_metadata:
        yield "videos.metadata is NULL"
    if not isinstance(video.storage_ref, dict) or not video.storage_ref:
        yield "videos.storage_ref is empty"
    if not video.storage_bucket or not video.storage_key:
        yield "videos.storage_bucket and storage_key are empty"
    for kind in Kind:
        row = record.row(kind)
        if row is None:
            yield f"the {kind} has no artifact row"
        elif row.state is not ArtifactState.STORED:
            yield f"the {kind}'s artifact row is only {row.state}"
        elif row.size_bytes is None or row.sha256 is None:
            yield f"the {kind}'s artifact row has no size or checksum"
    if record.job.status is not Status.SUCCEEDED:
        yield f"the job is {record.job.status}, not succeeded"
