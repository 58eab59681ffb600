"""The ``data`` of retry, cleanup, escalate and incidents; see :mod:`ingestctl.cli.schemas`."""

from datetime import datetime
from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from ingestctl.cli.schemas import RunData
from ingestctl.domain.artifact import Verdict
from ingestctl.domain.escalation import Severity
from ingestctl.domain.job import Status
from ingestctl.domain.plan import Action
from ingestctl.domain.verification import Level, Subject

# --- retry


class PreflightData(TypedDict):
    """One line of the checklist before a retry."""

    id: str
    verdict: Literal["pass", "fail", "cannot-tell"]
    detail: str
    hint: str


class SubmittedData(TypedDict):
    """What the platform's API answered."""

    job_id: str
    video_id: str
    status: str
    payload_version: str
    replay: bool
    """Whether the API had answered the same request before, with the same."""


class Retry(TypedDict):
    """``retry JOB``: the checklist, and what was done."""

    job_id: str
    outcome: Literal["requeued", "resubmitted", "unchanged", "refused", "failed", "allowed"]
    """allowed: a dry run, and every check would let it pass."""
    from_status: Status
    checks: list[PreflightData]
    submitted: NotRequired[SubmittedData]
    """With ``--via api``."""
    run: NotRequired[RunData]
    """With ``--run``."""


class RetryMany(TypedDict):
    """``retry`` with filters: the preview, then each job."""

    matching: int
    chosen: int
    """At most ``--limit``."""
    causes: dict[str, int]
    """Chosen jobs by the cause of their last failure."""
    jobs: list[str]
    results: list[Retry]
    totals: NotRequired[dict[str, int]]
    """Jobs by outcome; absent where nothing was to be done."""
    runs: NotRequired[list[RunData]]


# --- cleanup


class PlaceData(TypedDict):
    """The name of an object, where there is one."""

    bucket: str | None
    key: str | None


class RefData(TypedDict):
    """The name of an object."""

    bucket: str
    key: str


class ItemData(TypedDict):
    """One action on one thing, with the proof it rests on."""

    job_id: str
    video_id: str
    subject: Subject
    action: Action
    verdict: Verdict
    reason: str
    ref: RefData | None
    size_bytes: int | None
    etag: str | None
    sha256: str | None
    upload_id: str | None


class RefusalData(TypedDict):
    """Something that is left alone although it stands in the way."""

    job_id: str
    subject: Subject
    verdict: Verdict
    reason: str
    ref: RefData | None


class PlanData(TypedDict):
    """A cleanup plan: what ``--dry-run`` shows, ``--plan-out`` writes and ``--apply`` takes."""

    version: int
    fingerprint: str
    items: list[ItemData]
    refusals: list[RefusalData]
    purge: bool
    """Delete instead of quarantine."""
    reset: bool
    level: Level
    include_valid: list[str]


class AppliedData(PlaceData):
    """What came of one action."""

    job_id: str
    subject: Subject
    action: Action
    outcome: str
    """quarantined, deleted, aborted, forgotten, adopted, restored; or gone, replaced: nothing was done."""
    verdict: Verdict
    size_bytes: int | None
    reason: str
    to: PlaceData | None
    """Where it lies in quarantine."""


class Cleanup(TypedDict):
    """``cleanup``: the plan, and what was done of it."""

    incident: str | None
    """The one incident that tells what was done; null if there is none, or several."""
    incidents: list[str]
    plan: PlanData
    applied: list[AppliedData]
    refusals: list[RefusalData]
    reset: bool
    """Whether a job went back to the queue."""
    dry_run: bool


# --- escalate


class RuleData(TypedDict):
    """What one rule says of the window."""

    rule: str
    title: str
    fired: bool
    severity: Severity | None
    summary: str
    numbers: dict[str, Any]
    """The numbers that decided, thresholds beside them."""
    jobs: list[str]
    advice: str
    next: str


class IncidentRef(TypedDict):
    """The incident that was written, or was open for the same rules already."""

    id: str
    created: bool


class Escalate(TypedDict):
    """``escalate``: the four rules now."""

    since: datetime
    until: datetime
    severity: Severity | None
    """The worst of the rules that fired."""
    fired: list[str]
    rules: list[RuleData]
    incident: NotRequired[IncidentRef]
    """With ``--open``, when a rule fired."""
    notified: NotRequired[int]
    """With ``--notify``: how many addresses were told."""


class EpisodeData(TypedDict):
    """A stretch of time in which a rule stayed fired."""

    begin: datetime
    end: datetime
    severity: Severity | None
    summary: str


class ReplayedData(TypedDict):
    """One rule over history."""

    rule: str
    title: str
    times: int
    windows_fired: int
    episodes: list[EpisodeData]


class EscalateReplay(TypedDict):
    """``escalate --replay``: how often each rule would have fired."""

    since: datetime
    until: datetime
    window_s: float
    step_s: float
    windows: int
    rules: list[ReplayedData]


# --- incidents


class IncidentData(TypedDict):
    """One entry of the incident log, in brief."""

    id: str
    kind: str
    status: Literal["open", "closed"]
    severity: Severity
    title: str
    reason: str
    actor: str
    job_id: str | None
    video_id: str | None
    opened_at: datetime
    closed_at: datetime | None


class WholeIncident(IncidentData):
    """With what it rests on."""

    details: dict[str, Any]


class EntryData(TypedDict):
    """One append-only line of an incident."""

    id: str
    incident_id: str
    at: datetime
    actor: str
    kind: str
    payload: dict[str, Any]


class Incidents(TypedDict):
    """``incidents list``: newest first."""

    incidents: list[IncidentData]


class IncidentReportData(TypedDict):
    """``incidents show`` and ``export``: one incident, whole."""

    incident: WholeIncident
    entries: list[EntryData]


class IncidentChanged(TypedDict):
    """``incidents note`` and ``close``."""

    incident: str
    changed: bool
    """False where it was so already."""
