"""The error tree. What an error means to a caller is data on its class.

``code`` is the stable machine name, ``exit_code`` the process exit code
(1x: do not retry as is, 2x: retry later), ``cause`` the key into the cause
table (:mod:`ingestctl.domain.causes`), ``hint`` what to do about it.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from ingestctl.domain.exits import Exit as Exit

Retryable = Literal["yes", "after-fix", "no"]


class IngestError(Exception):
    """Base of every error ingestctl raises on purpose.

    ``message`` is one sentence naming the thing and its value; ``hint`` says
    what to do; ``job_id`` is set where one job is concerned; ``evidence`` is
    the line of a tool's or server's own words that decided, where there is one.
    """

    code: ClassVar[str] = "internal"
    exit_code: ClassVar[Exit] = Exit.BUG
    default_cause: ClassVar[str] = "internal"
    default_retryable: ClassVar[Retryable] = "no"
    default_hint: ClassVar[str] = ""
    next: ClassVar[str] = ""
    """The command to type next (JOB for the job's id), where the cause's own would lead astray."""

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        job_id: str | None = None,
        evidence: str | None = None,
        cause: str | None = None,
        retryable: Retryable | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.job_id = job_id
        self.evidence = evidence
        self.cause = cause or self.default_cause
        self.retryable: Retryable = retryable or self.default_retryable
        self.retry_after = retry_after
        """Seconds the other side asked us to wait, where it said so."""

    @property
    def advice(self) -> str:
        """The hint, with the job's id where it says JOB."""
        return self.hint.replace(" JOB`", f" {self.job_id}`") if self.job_id else self.hint

    @property
    def exit(self) -> Exit:
        """The exit code of this very error: a job that failed and may be retried later is not a 15."""
        if self.exit_code is Exit.JOB_FAILED and self.retryable == "yes":
            return Exit.UNAVAILABLE
        return self.exit_code


class Unexpected(IngestError):
    """Something that was not raised on purpose: a bug, or a fault no adapter has learned to name yet."""

    code = "unexpected"
    default_hint = "This is a bug in ingestctl unless the evidence says otherwise; please report it."


class UsageError(IngestError):
    """The command line is wrong: names the argument, its value and the fix."""

    code = "usage"
    exit_code = Exit.USAGE
    default_cause = "configuration"
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "See the command's --help."


class ConfigurationError(IngestError):
    """A setting is unknown, malformed or missing: names it, its value (secrets masked) and the fix."""

    code = "configuration"
    exit_code = Exit.CONFIGURATION
    default_cause = "configuration"
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "Run `ingestctl doctor --show-config` to see every setting and where it came from."


class SchemaOutdated(ConfigurationError):
    """The database is not migrated to the revision this program needs."""

    code = "schema_outdated"
    default_cause = "database_error"
    default_hint = "Run `ingestctl db upgrade`; it only adds, and is safe to run twice."


class NotFound(IngestError):
    """No job, video, artifact or incident by that name."""

    code = "not_found"
    exit_code = Exit.NOT_FOUND
    default_hint = "Run `ingestctl jobs` to list jobs; an id may be shortened to a unique prefix."


class Conflict(IngestError):
    """What was asked contradicts what is there; nothing was changed."""

    code = "conflict"
    exit_code = Exit.CONFLICT
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "Look at it with `ingestctl inspect JOB`, then decide."


class InTheWay(Conflict):
    """What stands where an object belongs is not this job's, or not what is on record; it was left."""

    default_cause = "storage_error"
    default_hint = "Look with `ingestctl verify-artifacts JOB`; quarantine it with `ingestctl cleanup JOB`."
    next = "ingestctl cleanup JOB --dry-run"


class Canceled(Conflict):
    """Somebody canceled the job while it ran; the attempt stopped and wrote nothing more."""

    code = "canceled"
    default_hint = "If it should run after all: `ingestctl retry JOB --anyway`."


class Busy(IngestError):
    """Another owner holds the job (or another job of the same video) under a live lease."""

    code = "busy"
    exit_code = Exit.BUSY
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Wait for it to finish, or see who holds it with `ingestctl inspect JOB`."


class LostAuthority(IngestError):
    """This attempt no longer owns its job: it was taken over, canceled, or its lease could not be renewed.

    Whoever meets this stops at once, kills its children and writes nothing more.
    """

    code = "lost_authority"
    exit_code = Exit.BUSY
    default_cause = "worker_crashed"
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Another worker owns the job now; see `ingestctl inspect JOB`."


class LeaseUnrenewed(LostAuthority):
    """The database did not answer for so long that the lease may run out: nothing more is written.

    Nobody is known to have taken the job over; whoever runs it next, when the lease is over, does.
    """

    code = "lease_unrenewed"
    exit_code = Exit.UNAVAILABLE
    default_cause = "database_error"
    default_hint = "Check that the database is up and reachable: `ingestctl doctor`."


class Interrupted(IngestError):
    """A signal asked this process to stop (SIGINT or SIGTERM)."""

    code = "interrupted"
    exit_code = Exit.SIGTERM
    default_cause = "worker_crashed"
    default_retryable: ClassVar[Retryable] = "yes"


class DeadlineExceeded(IngestError):
    """A step took longer than its deadline and was stopped."""

    code = "deadline_exceeded"
    exit_code = Exit.DEADLINE
    default_cause = "download_timeout"
    default_retryable: ClassVar[Retryable] = "yes"


class VerificationFailed(IngestError):
    """Artifacts were checked and found bad. Never raised because a check could not run."""

    code = "verification_failed"
    exit_code = Exit.VERIFICATION_FAILED
    default_cause = "storage_error"
    default_retryable: ClassVar[Retryable] = "after-fix"


class ConfirmationNeeded(IngestError):
    """A destructive command was not confirmed; nothing was done."""

    code = "confirmation_needed"
    exit_code = Exit.CONFIRMATION_NEEDED
    default_retryable: ClassVar[Retryable] = "after-fix"


# --- the database -----------------------------------------------------------------------------


class DatabaseUnavailable(IngestError):
    """The database cannot be reached, is restarting, or refuses more connections: try later."""

    code = "database_unavailable"
    exit_code = Exit.UNAVAILABLE
    default_cause = "database_error"
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Check that the database is up and reachable: `ingestctl doctor`."


class DatabaseRefused(ConfigurationError):
    """The database answered and refused: wrong password, unknown database, missing permission."""

    code = "database_refused"
    default_cause = "database_error"
    default_hint = "Check DATABASE_URL (user, password, database name) and the role's grants."


class DatabaseRejected(IngestError):
    """The database cannot hold a value: too long, of a form it does not know, or against a constraint."""

    code = "database_rejected"
    exit_code = Exit.CONFLICT
    default_cause = "database_error"
    default_hint = "A value is too long or of a form this database cannot hold; nothing was written."


# --- object storage ---------------------------------------------------------------------------


class StorageUnavailable(IngestError):
    """Object storage cannot be reached, timed out, or answered with a server error: try later."""

    code = "storage_unavailable"
    exit_code = Exit.UNAVAILABLE
    default_cause = "storage_error"
    default_retryable: ClassVar[Retryable] = "yes"
    default_hint = "Check that object storage is up and reachable: `ingestctl doctor`."


class StorageThrottled(StorageUnavailable):
    """Object storage asked us to slow down (SlowDown, 503, 429)."""

    code = "storage_throttled"


class StorageFull(StorageUnavailable):
    """No space or quota left where objects are stored."""

    code = "storage_full"
    default_cause = "disk_full"
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "Free space (or raise the quota) where objects are stored."


class StorageRefused(ConfigurationError):
    """Storage answered and refused the credentials or the permission."""

    code = "storage_refused"
    default_cause = "storage_error"
    default_hint = "Check S3_ACCESS_KEY, S3_SECRET_KEY and the bucket policy, then `ingestctl doctor`."


class BucketMissing(ConfigurationError):
    """The bucket does not exist. Only ``ingestctl init`` creates buckets."""

    code = "bucket_missing"
    default_cause = "storage_error"
    default_hint = (
        "Check the bucket name, or create the buckets that are set with `ingestctl init`. A job keeps those "
        "it was submitted with (jobs.payload.artifacts)."
    )


class ObjectMissing(IngestError):
    """There is no object under that key."""

    code = "object_missing"
    exit_code = Exit.NOT_FOUND
    default_cause = "storage_error"
    default_retryable: ClassVar[Retryable] = "after-fix"


class ObjectExists(Conflict):
    """Create-once publish found an object already under the key; it was left as it is."""

    code = "object_exists"
    default_cause = "storage_error"


class ObjectChanged(Conflict):
    """The object is not the one that was looked at (its ETag differs); nothing was done."""

    code = "object_changed"
    default_cause = "storage_error"


class UploadLost(IngestError):
    """The upload session is gone: a newer owner aborted it. Nothing was published."""

    code = "upload_lost"
    exit_code = Exit.BUSY
    default_cause = "storage_error"
    default_retryable: ClassVar[Retryable] = "yes"


# --- sources and media ------------------------------------------------------------------------


class SourceFailed(IngestError):
    """The source could not be fetched; ``cause`` says which family, ``evidence`` its own words."""

    code = "source_failed"
    exit_code = Exit.JOB_FAILED
    default_cause = "download_blocked"
    default_retryable: ClassVar[Retryable] = "after-fix"


class SourceRefused(SourceFailed):
    """We will not fetch this source: scheme, address or size is outside what is allowed."""

    code = "source_refused"
    default_cause = "invalid_source"
    default_retryable: ClassVar[Retryable] = "no"


class InvalidPayload(SourceFailed):
    """The job's payload names no usable source; names the field and what is wrong with it."""

    code = "invalid_payload"
    default_cause = "invalid_source"
    default_retryable: ClassVar[Retryable] = "no"
    default_hint = "Correct jobs.payload (or videos.source_uri), or submit the source again."


class NotMedia(IngestError):
    """What was fetched is not a video: a page, an image, an archive, text."""

    code = "not_media"
    exit_code = Exit.JOB_FAILED
    default_cause = "not_media"
    default_retryable: ClassVar[Retryable] = "no"
    default_hint = "Submit the address (or the file) of the video itself."


class NoAudioStream(IngestError):
    """The video is readable and has no audio stream to extract."""

    code = "no_audio_stream"
    exit_code = Exit.JOB_FAILED
    default_cause = "audio_extraction_failed"
    default_retryable: ClassVar[Retryable] = "no"
    default_hint = "The source is silent; a transcript cannot be made from it. Submit another source."
    next = "ingestctl inspect JOB"


class NoVideoStream(SourceFailed):
    """The source has audio but no video (cover art is not video)."""

    code = "no_video_stream"
    default_cause = "invalid_source"
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "Set INGESTCTL_ACCEPT_AUDIO_ONLY=true to ingest audio-only sources."


class AudioExtractionFailed(IngestError):
    """Audio was lost between the container's claim and what could be decoded, or ffmpeg failed."""

    code = "audio_extraction_failed"
    exit_code = Exit.JOB_FAILED
    default_cause = "audio_extraction_failed"
    default_retryable: ClassVar[Retryable] = "after-fix"


class ScratchFull(IngestError):
    """Not enough scratch space for this job, or it ran out on the way."""

    code = "disk_full"
    exit_code = Exit.UNAVAILABLE
    default_cause = "disk_full"
    default_retryable: ClassVar[Retryable] = "after-fix"
    default_hint = "Free space in the scratch folder (INGESTCTL_SCRATCH_DIR) or point it at a larger disk."


class ToolMissing(ConfigurationError):
    """A program this step needs (ffmpeg, ffprobe) was not found or cannot run."""

    code = "tool_missing"
    default_hint = "Install ffmpeg, set INGESTCTL_FFMPEG, or `pip install 'ingestctl[ffmpeg]'`."
