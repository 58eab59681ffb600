"""One object against its record: what a listing, a HEAD and its bytes tell."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import Artifact, ArtifactState, Kind, ObjectRef, Verdict
from ingestctl.domain.errors import BucketMissing, IngestError, ObjectChanged, ObjectMissing
from ingestctl.domain.verification import BROKEN, Finding, Subject
from ingestctl.ops.reading import Patience, sha256_read
from ingestctl.pipeline.evidence import from_video_row

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.ops.record import Record
    from ingestctl.storage.base import ObjectInfo, Storage


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of one object so far. ``open`` while a deeper check could still change the verdict."""

    kind: Kind
    ref: ObjectRef
    verdict: Verdict
    evidence: str
    open: bool = False
    info: ObjectInfo | None = None
    expected: Artifact | None = None
    """What is on record to compare with, if anything is."""
    named: bool = False
    """Whether the object's own metadata or the video row says that it is this video's."""
    suspect: bool = False
    """Whether the ETag is not the recorded one, so that only the bytes can tell."""
    unlabelled: bool = False
    """Whether the object's type or kind is not the one on record, which its bytes cannot mend."""
    sha256: str | None = None
    bytes_intact: bool = False
    """Whether its bytes were read and have the SHA-256 on record, and nothing says they were bad then."""

    def found(self, verdict: Verdict, evidence: str, *, open: bool = False) -> Look:  # noqa: A002
        """The same look with another verdict. Bytes that are found bad or unknown are not intact."""
        sound = self.bytes_intact and verdict is Verdict.INTACT
        return replace(self, verdict=verdict, evidence=evidence, open=open, bytes_intact=sound)

    def finding(self) -> Finding:
        """The line of the report."""
        info = self.info
        return Finding(
            Subject(self.kind.value),
            self.verdict,
            self.evidence,
            self.ref,
            info.size_bytes if info else None,
            info.etag if info else None,
            self.sha256,
            bytes_intact=self.bytes_intact,
        )


def look_at(storage: Storage, record: Record, kind: Kind, stop: Stop) -> Look:
    """Level ``exists``: is it there, whose is it, and has it the size, type and ETag on record."""
    ref = record.refs[kind]
    blank = Look(kind, ref, Verdict.UNKNOWN, "")
    try:
        info = storage.stat(ref)
        if info is None:
            return _absent(storage, record, blank)
    except IngestError as error:
        stop.check()
        return blank.found(Verdict.UNKNOWN, could_not("be looked at", error))
    here = replace(blank, info=info, expected=_expected(record, kind), named=_named(record, kind, info))
    return _owner(record, here) or _compare(here)


def could_not(what: str, error: Exception) -> str:
    """One sentence for a check that could not run."""
    message = error.message if isinstance(error, IngestError) else str(error)
    evidence = getattr(error, "evidence", None)
    return f"could not {what}: {message}" + (f" ({evidence})" if evidence and evidence != message else "")


def _expected(record: Record, kind: Kind) -> Artifact | None:
    row = record.row(kind)
    if row is not None and row.sha256:
        return row
    return from_video_row(record.refs[kind], kind, record.video) if record.video else None


def _named(record: Record, kind: Kind, info: ObjectInfo) -> bool:
    if (info.metadata or {}).get("ingest-video") == record.job.video_id:
        return True
    return kind is Kind.VIDEO and record.job.video_id in record.pointers.get(info.ref, ())


def _absent(storage: Storage, record: Record, look: Look) -> Look:
    """Nothing is under the key, says HEAD; a listing of that very key must agree before it is ``missing``."""
    ref = look.ref
    if any(info.ref == ref for info in storage.list_objects(ref.bucket, ref.key)):
        return look.found(
            Verdict.UNKNOWN, "storage lists the object and does not show it: its answers disagree"
        )
    row = record.row(look.kind)
    if record.holder is not None:
        return look.found(
            Verdict.UNKNOWN, f"attempt {record.holder.attempt} is live and has not stored it yet"
        )
    if row is not None and row.state is not ArtifactState.STORED:
        if any(upload.ref == ref for upload in storage.unfinished(ref.bucket, ref.key)):
            return look.found(Verdict.PARTIAL, f"its key is {row.state}, and its upload was never finished")
        return look.found(
            Verdict.MISSING, f"its key is {row.state} since a run that ended before it was stored"
        )
    if row is not None:
        when = f" at {row.stored_at:%Y-%m-%d %H:%M} UTC" if row.stored_at else ""
        return look.found(Verdict.MISSING, f"stored{when} ({row.size_bytes} bytes), and nothing is there now")
    return look.found(Verdict.MISSING, f"nothing is under the key; the job is {record.job.status}")


def _owner(record: Record, look: Look) -> Look | None:
    """Foreign, if the object says so or the key is recorded for another video."""
    named = (look.info.metadata or {}).get("ingest-video") if look.info else None
    if named is not None and named != record.job.video_id:
        return look.found(Verdict.FOREIGN, f"its own metadata names video {named}")
    row = record.rows.get(look.ref)
    if row is not None and row.video_id != record.job.video_id:
        return look.found(Verdict.FOREIGN, f"the key is recorded for video {row.video_id}")
    pointing = record.pointers.get(look.ref, ())
    if pointing and record.job.video_id not in pointing and row is None:
        return look.found(Verdict.FOREIGN, f"the row of video {pointing[0]} points to it")
    return None


def _compare(look: Look) -> Look:
    info, row = look.info, look.expected
    assert info is not None  # noqa: S101  (the caller looked)
    if info.size_bytes == 0:
        return look.found(Verdict.PARTIAL, "the object is there and has 0 bytes")
    kind = (info.metadata or {}).get("ingest-kind")
    if kind is not None and kind != look.kind:
        why = f"its own metadata says that it is the {kind}"
        return replace(look.found(Verdict.CORRUPT, why, open=row is not None), unlabelled=True)
    if row is None:
        return look.found(
            Verdict.UNKNOWN,
            f"{info.size_bytes} bytes are there and nothing is on record to compare with; "
            "--level decode may tell",
            open=True,
        )
    size = row.size_bytes
    if size is not None and info.size_bytes != size:
        # Provisional: the size on record may be what is wrong, and only the bytes can tell.
        verdict = Verdict.PARTIAL if info.size_bytes < size else Verdict.CORRUPT
        return look.found(verdict, f"{info.size_bytes} bytes where {size} are on record", open=True)
    if row.content_type and info.content_type and row.content_type != info.content_type:
        why = f"its content type is {info.content_type}; {row.content_type} is on record"
        return replace(look.found(Verdict.CORRUPT, why, open=True), unlabelled=True)
    if row.etag is not None and row.etag != info.etag:
        suspicion = "it has another ETag than was recorded, so it was written again since"
        return replace(look.found(Verdict.UNKNOWN, suspicion, open=True), suspect=True)
    what = "size and ETag" if row.etag else "size"
    return look.found(
        Verdict.INTACT, f"{info.size_bytes} bytes, {what} as recorded; its bytes were not read", open=True
    )


def read_through(look: Look, storage: Storage, patience: Patience, stop: Stop, into: Path | None) -> Look:
    """Level ``checksum``: read every byte, twice before anything is called corrupt.

    The store's own checksum is not used: it was computed when the object was written, and says
    nothing of the bytes as they are on its disks now.
    """
    info = look.info
    assert info is not None  # noqa: S101  (an open look has one)
    try:
        first = sha256_read(storage, info, patience, stop, into)
        look = replace(look, sha256=first)
        if look.expected is None:
            return look
        wanted = look.expected.sha256
        if first == wanted:
            return _as_recorded(look, first)
        second = sha256_read(storage, info, patience, stop, into)
    except (ObjectMissing, ObjectChanged) as error:
        return look.found(Verdict.UNKNOWN, could_not("be read: it changed meanwhile", error))
    except (IngestError, OSError) as error:
        stop.check()
        return look.found(Verdict.UNKNOWN, could_not("be read", error))
    if second != first:
        return replace(
            look.found(Verdict.UNKNOWN, "two reads gave different bytes: storage or the way to it is faulty"),
            sha256=None,
        )
    digests = f"SHA-256 is {first[:12]}… (read twice) where {(wanted or '')[:12]}… is on record"
    if look.verdict in BROKEN:
        return look.found(look.verdict, f"{look.evidence}; {digests}")
    return look.found(Verdict.CORRUPT, digests)


def _as_recorded(look: Look, sha256: str) -> Look:
    """The bytes are those on record, so that whatever else differs is the record's or the label's fault."""
    assert look.info is not None  # noqa: S101  (it was read)
    told = f"{look.info.size_bytes} bytes read, SHA-256 {sha256[:12]}… as recorded"
    if look.unlabelled:
        return replace(look.found(Verdict.CORRUPT, f"{look.evidence}; {told}"), bytes_intact=True)
    again = "; it was written again since" if look.suspect else ""
    size = look.expected.size_bytes if look.expected else None
    wrong = "" if size in (None, look.info.size_bytes) else f", where the size on record, {size}, is wrong"
    return replace(look.found(Verdict.INTACT, f"{told}{wrong}{again}", open=True), bytes_intact=True)


def stray_uploads(storage: Storage, record: Record, stop: Stop) -> tuple[Finding, ...]:
    """Unfinished uploads under the job's keys; none while a live attempt is at work on them."""
    if record.holder is not None:
        return ()
    found: list[Finding] = []
    for ref in dict.fromkeys(record.refs.values()):
        row = record.rows.get(ref)
        if row is not None and row.video_id != record.job.video_id:
            continue  # another video's key, and so its upload
        try:
            for upload in storage.unfinished(ref.bucket, ref.key):
                if upload.ref == ref:
                    why = f"an upload begun at {upload.started_at:%Y-%m-%d %H:%M} UTC was never finished"
                    found.append(
                        Finding(Subject.UPLOAD, Verdict.PARTIAL, why, ref, upload_id=upload.upload_id)
                    )
        except BucketMissing:
            continue  # said of the object already
        except IngestError as error:
            stop.check()
            found.append(
                Finding(Subject.UPLOAD, Verdict.UNKNOWN, could_not("list unfinished uploads", error), ref)
            )
    return tuple(found)
