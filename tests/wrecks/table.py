"""The table of prepared wrecks: what every command must say of each, and what it takes to be whole again.

A verdict column reads ``video audio record``, with one more ``partial`` for each unfinished upload. What
``retry`` says is its outcome, then the checks that do not pass. The plan names every subject once, as
``subject action``; ``refused`` is left as it is, to the byte.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ingestctl.domain.verification import Level
from tests.wrecks import breaks, doubles, mends

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.wrecks.yard import Yard

WHOLE = "refused: state fail"
KEEP = "video keep, audio keep, record keep"
FORGET = "video forget-row, audio keep, record keep"
VIDEO_OUT = "video quarantine, audio keep, record keep"
AUDIO_OUT = "video keep, audio quarantine, record keep"
AGAIN = "video keep, audio keep, record adopt"
IN_THE_WAY = "refused: partial_files fail"
OK, BAD, BLIND = 0, 11, 20
PASS, REFUSED, SOME = 0, 14, 16
NOTHING = "missing missing missing"
GOOD = "intact intact intact"


@dataclass(frozen=True, slots=True)
class Wreck:
    """One way for a job to be broken."""

    wreck: Callable[[Yard], None]
    exists: str
    retry: str
    plan: str
    """Of ``cleanup --dry-run``; ``conflict`` where it refuses the job as a whole."""
    checksum: str = ""
    """As ``exists``, where it is not said."""
    decode: str = ""
    """As ``checksum``, where it is not said."""
    exits: tuple[int, int, int] = (BAD, BAD, BAD)
    """Of verify-artifacts at each level."""
    cleanup: int = PASS
    """The exit code of cleanup."""
    after: str = "queued"
    """The job's status when cleanup (and what it takes) is done."""
    audit: str = ""
    """What a fleet audit reports of this job."""
    level: Level = Level.CHECKSUM
    """The ``--level`` cleanup is given: what only decoding shows, it must decode to see."""
    include_valid: bool = False
    """Whether it takes ``--include-valid`` and the job's id to be rid of what cleanup refused."""
    mend: Callable[[Yard], None] | None = None
    """What a person must put right first, and cleanup is then run again."""
    anyway: bool = False
    """Whether ``retry`` needs ``--anyway`` after cleanup."""

    @property
    def name(self) -> str:
        return self.wreck.__name__

    @property
    def well(self) -> bool:
        """Whether nothing is wrong with the job."""
        return self.exits == (OK, OK, OK)

    def verdicts(self, level: Level) -> str:
        """What ``verify-artifacts`` says at this level."""
        checksum = self.checksum or self.exists
        return {
            Level.EXISTS: self.exists,
            Level.CHECKSUM: checksum,
            Level.DECODE: self.decode or checksum,
        }[level]


def _whole(wreck: Callable[[Yard], None], audit: str = "") -> Wreck:
    """Nothing is wrong: every command leaves it alone."""
    return Wreck(wreck, GOOD, WHOLE, KEEP, exits=(OK, OK, OK), after="succeeded", audit=audit)


def _old(wreck: Callable[[Yard], None], decode: str, plan: str) -> Wreck:
    """Damage older than the record: only decoding shows it."""
    return Wreck(wreck, GOOD, WHOLE, plan, decode=decode, exits=(OK, OK, BAD), level=Level.DECODE)


def _never(
    wreck: Callable[[Yard], None], retry: str = "allowed", after: str = "failed", *, anyway: bool = False
) -> Wreck:
    """Nothing was stored: nothing is to be cleaned up."""
    return Wreck(wreck, NOTHING, retry, KEEP, after=after, anyway=anyway)


BLIND_ALL = (BLIND, BLIND, BLIND)
LOST_ROW = "record partial"

WRECKS = (
    # well, whatever it looks like
    _whole(breaks.nothing),
    _whole(breaks.completed),
    _whole(breaks.metadata_empty),
    _whole(breaks.payload_null),
    _whole(breaks.restored_from_backup),
    _whole(breaks.neighbour_beside, audit="video foreign"),
    # gone
    Wreck(breaks.video_missing, "missing intact intact", "allowed", FORGET, audit="video missing"),
    Wreck(
        breaks.audio_missing, "intact missing intact", "allowed",
        "video keep, audio forget-row, record keep", audit="audio missing",
    ),
    Wreck(
        breaks.both_missing, "missing missing intact", "allowed",
        "video forget-row, audio forget-row, record keep", audit="audio missing, video missing",
    ),
    Wreck(doubles.upload_source_lost, "missing intact intact", "allowed", FORGET, audit="video missing"),
    # damaged
    Wreck(breaks.video_truncated, "partial intact intact", IN_THE_WAY, VIDEO_OUT, audit="video partial"),
    Wreck(breaks.audio_truncated, "intact partial intact", IN_THE_WAY, AUDIO_OUT, audit="audio partial"),
    Wreck(breaks.video_flipped, "corrupt intact intact", IN_THE_WAY, VIDEO_OUT, audit="video corrupt"),
    Wreck(breaks.audio_flipped, "intact corrupt intact", IN_THE_WAY, AUDIO_OUT, audit="audio corrupt"),
    Wreck(
        breaks.both_flipped, "corrupt corrupt intact", IN_THE_WAY,
        "video quarantine, audio quarantine, record keep", audit="audio corrupt, video corrupt",
    ),
    Wreck(
        breaks.video_rotten, GOOD, WHOLE, VIDEO_OUT,
        checksum="corrupt intact intact", exits=(OK, BAD, BAD),
    ),
    Wreck(breaks.video_longer, "corrupt intact intact", IN_THE_WAY, VIDEO_OUT, audit="video corrupt"),
    Wreck(breaks.video_empty, "partial intact intact", IN_THE_WAY, VIDEO_OUT, audit="video partial"),
    Wreck(breaks.audio_empty, "intact partial intact", IN_THE_WAY, AUDIO_OUT, audit="audio partial"),
    Wreck(
        breaks.video_of_another_type, "corrupt intact intact", IN_THE_WAY, VIDEO_OUT, audit="video corrupt",
    ),
    Wreck(breaks.replaced_by_hand, "corrupt intact intact", IN_THE_WAY, VIDEO_OUT, audit="video corrupt"),
    Wreck(
        breaks.audio_of_another_video, "intact corrupt intact", IN_THE_WAY, AUDIO_OUT, audit="audio corrupt",
    ),
    Wreck(breaks.audio_is_the_video, "intact corrupt intact", IN_THE_WAY, AUDIO_OUT, audit="audio corrupt"),
    # damaged before it was recorded
    _old(breaks.truncated_and_recorded, "partial intact intact", VIDEO_OUT),
    _old(breaks.html_recorded_as_video, "corrupt intact intact", VIDEO_OUT),
    _old(breaks.wrong_rate_recorded, "intact corrupt intact", AUDIO_OUT),
    _old(breaks.half_a_wav_recorded, "intact partial intact", AUDIO_OUT),
    # somebody else's
    Wreck(
        breaks.foreign_over_video, "foreign intact intact", IN_THE_WAY,
        "video refused, audio keep, record keep", cleanup=REFUSED, include_valid=True, audit="video foreign",
    ),
    Wreck(
        breaks.foreign_over_audio, "intact foreign intact", IN_THE_WAY,
        "video keep, audio refused, record keep", cleanup=REFUSED, include_valid=True, audit="audio foreign",
    ),
    Wreck(
        breaks.stranger_under_video, "unknown missing missing", IN_THE_WAY,
        "video refused, audio keep, record keep", decode="foreign missing missing", cleanup=REFUSED,
        include_valid=True, audit="video foreign",
    ),
    Wreck(
        breaks.stranger_under_audio, "missing unknown missing", IN_THE_WAY,
        "video keep, audio refused, record keep", decode="missing foreign missing", cleanup=REFUSED,
        include_valid=True, audit="audio foreign",
    ),
    Wreck(
        breaks.foreign_under_video, "foreign missing missing", IN_THE_WAY,
        "video refused, audio keep, record keep", cleanup=REFUSED, include_valid=True, audit="video foreign",
    ),
    Wreck(
        breaks.row_of_another_video, "intact foreign corrupt", IN_THE_WAY,
        "video keep, audio refused, record keep", cleanup=REFUSED, mend=mends.wrong_row_removed,
        audit=LOST_ROW,
    ),
    # records
    Wreck(
        breaks.rows_lost, "intact unknown partial", IN_THE_WAY, "video adopt, audio adopt, record adopt",
        decode="intact intact partial", audit="audio foreign, record partial",
    ),
    Wreck(breaks.video_row_lost, "intact intact partial", "allowed", AGAIN, audit=LOST_ROW),
    Wreck(
        breaks.audio_row_lost, "intact unknown partial", IN_THE_WAY, "video keep, audio adopt, record adopt",
        decode="intact intact partial", audit="audio foreign, record partial",
    ),
    Wreck(
        breaks.record_lost, "unknown unknown missing", IN_THE_WAY, "video adopt, audio adopt, record adopt",
        decode="intact intact missing", audit="audio foreign, record partial, video foreign",
    ),
    Wreck(
        breaks.rows_lost_audio_swapped, "intact unknown partial", IN_THE_WAY,
        "video adopt, audio quarantine, record adopt", decode="intact corrupt partial",
        audit="audio foreign, record partial",
    ),
    Wreck(
        breaks.legacy, "unknown unknown partial", IN_THE_WAY, "video adopt, audio adopt, record adopt",
        decode="intact intact partial", audit="audio foreign, record partial",
    ),
    Wreck(breaks.storage_ref_null, "intact intact partial", "allowed", AGAIN),
    Wreck(breaks.pointers_astray, "intact intact corrupt", "allowed", AGAIN),
    Wreck(breaks.size_wrong_in_storage_ref, "intact intact corrupt", "allowed", AGAIN),
    Wreck(
        breaks.size_wrong_on_record, "corrupt intact intact", IN_THE_WAY, AGAIN,
        checksum="intact intact corrupt", audit="video corrupt",
    ),
    Wreck(breaks.metadata_json_null, "intact intact partial", "allowed", AGAIN),
    Wreck(
        doubles.stored_under_another_key, "missing missing corrupt", "refused: duplicates fail",
        "video keep, audio keep, record refused", cleanup=REFUSED, mend=mends.payload_corrected,
        after="succeeded",
    ),
    # attempts that ended half-way
    Wreck(breaks.reserved_only, "missing missing partial", "allowed", KEEP, after="failed"),
    Wreck(breaks.staged_without_object, "missing missing partial", "allowed", KEEP, after="failed"),
    Wreck(breaks.staged_with_objects, "intact intact partial", "allowed", KEEP, after="failed"),
    Wreck(breaks.staged_and_damaged, "partial intact partial", IN_THE_WAY, VIDEO_OUT),
    Wreck(
        breaks.unfinished_upload, "partial missing partial partial", "allowed",
        f"{KEEP}, upload abort-upload",
    ),
    Wreck(
        breaks.upload_beside_a_whole_job, f"{GOOD} partial", WHOLE, f"{KEEP}, upload abort-upload",
        after="succeeded",
    ),
    Wreck(breaks.worker_lost, "partial missing partial partial", "allowed", f"{KEEP}, upload abort-upload"),
    _never(breaks.running_without_a_run, after="running"),
    # somebody is at work
    Wreck(
        breaks.live, "unknown unknown unknown", "refused: owner fail", "conflict", exits=BLIND_ALL,
        cleanup=REFUSED, mend=mends.lease_runs_out, after="running",
    ),
    Wreck(
        breaks.live_upload, "unknown unknown unknown", "refused: owner fail", "conflict", exits=BLIND_ALL,
        cleanup=REFUSED, mend=mends.lease_runs_out,
    ),
    Wreck(
        breaks.sibling_live, "intact corrupt intact", "refused: owner fail", "conflict",
        cleanup=REFUSED, mend=mends.sibling_ended, audit="audio corrupt",
    ),
    # failures
    _never(breaks.never_stored),
    _never(breaks.pending, "unchanged", after="queued"),
    _never(breaks.after_fix, "refused: cause fail", anyway=True),
    _never(breaks.for_good, "refused: cause fail", anyway=True),
    _never(breaks.used_up, "refused: attempts fail", anyway=True),
    _never(breaks.canceled, "refused: state fail", after="canceled", anyway=True),
    Wreck(
        breaks.canceled_and_damaged, "intact corrupt partial", "refused: state fail, partial_files fail",
        AUDIO_OUT, anyway=True, after="canceled", audit="audio corrupt",
    ),
    Wreck(
        breaks.payload_broken, NOTHING, "refused: partial_files cannot-tell, cause fail, source cannot-tell",
        KEEP, mend=mends.payload_corrected, after="failed",
    ),
    Wreck(breaks.source_gone, NOTHING, "refused: source fail", KEEP, mend=mends.source_back, after="failed"),
    # the same media twice
    _never(doubles.source_of_another, "refused: duplicates fail", anyway=True),
    Wreck(
        doubles.bytes_of_another, "intact intact partial", "refused: duplicates fail", KEEP,
        anyway=True, after="failed",
    ),
)  # fmt: skip
