"""What was found of one job's artifacts, and how it is known."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from ingestctl.domain.artifact import ObjectRef, Verdict
from ingestctl.domain.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from ingestctl.domain.job import Status


class Level(StrEnum):
    """How deep a check looks.

    ``exists``: listing, size and ETag against the record. ``checksum``: also the SHA-256, by the store's
    own checksum where that can be trusted, else by reading every byte. ``decode``: also a probe and a
    full decode of both objects, and the audio's length against the video's.
    """

    EXISTS = "exists"
    CHECKSUM = "checksum"
    DECODE = "decode"

    def includes(self, other: Level) -> bool:
        """Whether this level looks at least as deep as ``other``."""
        return list(Level).index(self) >= list(Level).index(other)


class Subject(StrEnum):
    """What a finding is about: the runbook's three lines, and what lies beside them."""

    VIDEO = "video"
    AUDIO = "audio"
    RECORD = "record"
    UPLOAD = "upload"
    """An unfinished upload under one of the job's keys."""


BROKEN = frozenset({Verdict.CORRUPT, Verdict.PARTIAL})

_WORST_FIRST = (
    Verdict.CORRUPT,
    Verdict.PARTIAL,
    Verdict.MISSING,
    Verdict.FOREIGN,
    Verdict.UNKNOWN,
    Verdict.INTACT,
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of a verification: a verdict, and in ``evidence`` one sentence that says how it is known.

    ``etag`` and ``size_bytes`` are those of the very object that was looked at: a deletion must name
    them, so that nothing else can be deleted in its place. ``sha256`` is set where the bytes were read.
    """

    subject: Subject
    verdict: Verdict
    evidence: str
    ref: ObjectRef | None = None
    size_bytes: int | None = None
    etag: str | None = None
    sha256: str | None = None
    upload_id: str | None = None
    bytes_intact: bool = False
    """The bytes were read and have the SHA-256 on record: whatever the verdict, deleting them loses media."""


@dataclass(frozen=True, slots=True)
class Verification:
    """One job, checked at one moment. ``findings`` are video, audio and record, in this order."""

    job_id: str
    video_id: str
    status: Status
    level: Level
    checked_at: datetime
    findings: tuple[Finding, ...]
    strays: tuple[Finding, ...] = ()
    """Unfinished uploads under the job's keys."""

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        return worst(f.verdict for f in (*self.findings, *self.strays))

    def of(self, subject: Subject) -> Finding:
        """The finding about ``subject``."""
        return next(f for f in self.findings if f.subject is subject)


def worst(verdicts: Iterable[Verdict]) -> Verdict:
    """The verdict that stands for all: what was found bad before what could not be checked."""
    return min(verdicts, key=_WORST_FIRST.index, default=Verdict.INTACT)


def exit_of(verdicts: Iterable[Verdict]) -> Exit:
    """11 where anything was found bad, 20 where something could not be checked, else 0. Never mixed."""
    verdict = worst(verdicts)
    if verdict is Verdict.INTACT:
        return Exit.DONE
    return Exit.UNAVAILABLE if verdict is Verdict.UNKNOWN else Exit.VERIFICATION_FAILED
