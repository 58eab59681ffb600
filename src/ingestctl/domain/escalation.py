"""When to escalate: the runbook's four rules, as pure functions over tallies of ended attempts.

Attempts are added to a :class:`Tally` one by one; tallies of neighbouring times can be joined, so
that a window can slide over months of attempts which are read once.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol

from ingestctl.domain.causes import CAUSES

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime

Severity = Literal["SEV-1", "SEV-2", "SEV-3", "SEV-4"]

OUR_OWN = frozenset({"storage_error", "database_error", "worker_crashed", "disk_full", "configuration"})
"""Causes that no source is to blame for: they say nothing about the source a job happened to have."""
MAX_JOBS = 20
"""Job ids shown behind a rule."""


class Fact(Protocol):
    """One ended attempt. ``cause`` is None for one that succeeded."""

    @property
    def job_id(self) -> str: ...  # noqa: D102
    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def at(self) -> datetime: ...  # noqa: D102
    @property
    def cause(self) -> str | None: ...  # noqa: D102
    @property
    def owner(self) -> str | None: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Thresholds:
    """From which numbers on a rule fires."""

    source_jobs: int = 5
    """Jobs of one source that failed in the window."""
    source_share: float = 0.5
    """Their share of that source's jobs that ended in the window."""
    storage_jobs: int = 3
    """Jobs that failed on storage."""
    storage_share: float = 0.2
    """Their share of all jobs that ended since the first of them."""
    crashes: int = 3
    """Attempts whose worker died."""
    corrupt: int = 3
    """Artifacts that verification found corrupt or partial."""
    corrupt_share: float = 0.01
    """Their share of all artifacts verified in the window."""


@dataclass(slots=True)
class SourceTally:
    """What became of one source's jobs."""

    failed: dict[str, str] = field(default_factory=dict)
    """Job id -> its latest cause."""
    succeeded: set[str] = field(default_factory=set)

    def join(self, later: SourceTally) -> None:
        """Add what happened afterwards."""
        self.failed.update(later.failed)
        self.succeeded |= later.succeeded


@dataclass(slots=True)
class Tally:
    """Attempts of one stretch of time, counted. Memory grows with the jobs in it, not their attempts."""

    sources: dict[str, SourceTally] = field(default_factory=lambda: defaultdict(SourceTally))
    storage: dict[str, datetime] = field(default_factory=dict)
    """Job -> its first storage failure."""
    last_storage: datetime | None = None
    first_success: datetime | None = None
    last_success: datetime | None = None
    ended_at: dict[str, datetime] = field(default_factory=dict)
    """Job -> its latest end."""
    crashes: Counter[str] = field(default_factory=Counter)
    """Job -> crashes."""
    workers: Counter[str] = field(default_factory=Counter)
    """Worker's host -> crashes."""

    def add(self, fact: Fact) -> None:
        """Count one attempt; attempts come oldest first."""
        source = self.sources[fact.source]
        self.ended_at[fact.job_id] = fact.at
        if fact.cause is None:
            source.succeeded.add(fact.job_id)
            self.first_success = self.first_success or fact.at
            self.last_success = fact.at
            return
        if fact.cause not in OUR_OWN:
            source.failed[fact.job_id] = fact.cause
        if fact.cause == "storage_error":
            self.storage.setdefault(fact.job_id, fact.at)
            self.last_storage = fact.at
        elif fact.cause == "worker_crashed":
            self.crashes[fact.job_id] += 1
            self.workers[worker_host(fact.owner)] += 1

    def join(self, later: Tally) -> None:
        """Add what happened afterwards."""
        for name, tally in later.sources.items():
            self.sources[name].join(tally)
        for job, at in later.storage.items():
            self.storage.setdefault(job, at)
        self.ended_at.update(later.ended_at)
        self.first_success = self.first_success or later.first_success
        self.last_success = later.last_success or self.last_success
        self.last_storage = later.last_storage or self.last_storage
        self.crashes.update(later.crashes)
        self.workers.update(later.workers)


@dataclass(frozen=True, slots=True)
class Checks:
    """What verification found in the window: artifacts checked, those corrupt or partial, their jobs."""

    checked: int = 0
    bad: int = 0
    jobs: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class RuleResult:
    """What one rule says of one window. ``numbers`` are those that decided, thresholds beside them."""

    rule: str
    title: str
    fired: bool
    severity: Severity | None
    """Suggested; None while quiet."""
    summary: str
    numbers: Mapping[str, object]
    jobs: Sequence[str]
    """At most MAX_JOBS of the jobs behind it."""
    advice: str
    next: str


def tally(facts: Iterable[Fact]) -> Tally:
    """Count attempts, oldest first."""
    total = Tally()
    for fact in facts:
        total.add(fact)
    return total


def evaluate(seen: Tally, checks: Checks, limits: Thresholds) -> tuple[RuleResult, ...]:
    """All four rules over one window, in the runbook's order."""
    return (
        same_source(seen, limits),
        storage_unavailable(seen, limits),
        worker_crashing(seen, limits),
        corruption(checks, limits),
    )


def worst(results: Iterable[RuleResult]) -> Severity | None:
    """The gravest severity of the rules that fired."""
    return min((r.severity for r in results if r.severity), default=None)


def same_source(seen: Tally, limits: Thresholds) -> RuleResult:
    """Many jobs of one source failed, for reasons that lie with the source."""
    over = [(s, t) for s, t in seen.sources.items() if _too_many(t, limits)]
    # The worst source speaks for the rule: over the threshold first, then the most failures.
    pool = over or list(seen.sources.items())
    name, worst_of = max(pool, key=lambda item: (len(item[1].failed), item[0]), default=("", SourceTally()))
    failed, ended, share = len(worst_of.failed), *_share(worst_of)
    cause = Counter(worst_of.failed.values()).most_common(1)
    top = cause[0][0] if cause else None
    severity: Severity = "SEV-2" if failed >= 4 * limits.source_jobs and share >= 0.9 else "SEV-3"
    return RuleResult(
        rule="same_source",
        title="Many failures with the same source",
        fired=bool(over),
        severity=severity if over else None,
        summary=f"{failed} of {ended} jobs of {name} failed, most with {top}"
        if failed
        else "no source failed",
        numbers={
            "source": name or None,
            "failed_jobs": failed,
            "ended_jobs": ended,
            "share": round(share, 3),
            "top_cause": top,
            "sources_over_threshold": sorted(s for s, _ in over),
            "threshold_jobs": limits.source_jobs,
            "threshold_share": limits.source_share,
        },
        jobs=_some(worst_of.failed),
        advice=CAUSES[top].guidance if top is not None and top in CAUSES else "",
        next=f"ingestctl jobs --status failed --source {name}" if failed else "ingestctl jobs",
    )


def _too_many(source: SourceTally, limits: Thresholds) -> bool:
    return len(source.failed) >= limits.source_jobs and _share(source)[1] >= limits.source_share


def _share(source: SourceTally) -> tuple[int, float]:
    ended = len(source.failed.keys() | source.succeeded)
    return ended, len(source.failed) / ended if ended else 0.0


def storage_unavailable(seen: Tally, limits: Thresholds) -> RuleResult:
    """Jobs fail on object storage, whatever their source."""
    failed = len(seen.storage)
    first = min(seen.storage.values(), default=None)
    ended = sum(1 for at in seen.ended_at.values() if first and at >= first)
    share = failed / ended if ended else 0.0
    fired = failed >= limits.storage_jobs and share >= limits.storage_share
    down = first is not None and (seen.last_success is None or seen.last_success < first)
    goes_on = seen.last_storage is not None and (
        seen.last_success is None or seen.last_success < seen.last_storage
    )
    severity: Severity = "SEV-1" if down else "SEV-2" if goes_on else "SEV-3"
    since = "nothing has succeeded since" if down else "it goes on" if goes_on else "jobs succeed again"
    return RuleResult(
        rule="storage_unavailable",
        title="Storage unavailable",
        fired=fired,
        severity=severity if fired else None,
        summary=f"{failed} jobs failed on storage; {since}" if failed else "no job failed on storage",
        numbers={
            "failed_jobs": failed,
            "ended_jobs_since": ended,
            "share": round(share, 3),
            "first_at": first,
            "last_at": seen.last_storage,
            "last_success_at": seen.last_success,
            "threshold_jobs": limits.storage_jobs,
            "threshold_share": limits.storage_share,
        },
        jobs=_some(seen.storage),
        advice="Check the object store and its credentials; stop retrying until it answers.",
        next="ingestctl doctor",
    )


def worker_crashing(seen: Tally, limits: Thresholds) -> RuleResult:
    """Workers die again and again: all of them, one host, or every one that gets the same job."""
    crashes = seen.crashes.total()
    fired = crashes >= limits.crashes
    job, most = seen.crashes.most_common(1)[0] if crashes else ("", 0)
    host, on_host = seen.workers.most_common(1)[0] if crashes else ("", 0)
    one_job = fired and most == crashes
    where = f"all with job {job}" if one_job else f"{on_host} of them on {host}"
    severity: Severity = "SEV-3" if one_job else "SEV-2"
    return RuleResult(
        rule="worker_crashing",
        title="Worker crashing repeatedly",
        fired=fired,
        severity=severity if fired else None,
        summary=f"{crashes} attempts lost their worker, {where}" if crashes else "no worker died",
        numbers={
            "crashes": crashes,
            "jobs": len(seen.crashes),
            "workers": len(seen.workers),
            "worst_job_crashes": most,
            "worst_worker": host or None,
            "worst_worker_crashes": on_host,
            "threshold_crashes": limits.crashes,
        },
        jobs=[job_id for job_id, _ in seen.crashes.most_common(MAX_JOBS)],
        advice="One job behind all of them: keep it out of the queue and look at its media. "
        "Otherwise look at the workers' memory limits, kernel log and last deployment.",
        next=f"ingestctl inspect {job}" if job else "ingestctl jobs --stuck",
    )


def corruption(checks: Checks, limits: Thresholds) -> RuleResult:
    """Verification finds stored media corrupt more often than chance would have it."""
    share = checks.bad / checks.checked if checks.checked else 0.0
    fired = checks.bad >= limits.corrupt and share >= limits.corrupt_share
    severity: Severity = "SEV-1" if share >= 0.05 else "SEV-2"
    return RuleResult(
        rule="corruption",
        title="Corruption systemic",
        fired=fired,
        severity=severity if fired else None,
        summary=f"{checks.bad} of {checks.checked} verified artifacts are corrupt or partial",
        numbers={
            "bad_artifacts": checks.bad,
            "verified_artifacts": checks.checked,
            "share": round(share, 4),
            "threshold_artifacts": limits.corrupt,
            "threshold_share": limits.corrupt_share,
        },
        jobs=list(checks.jobs)[:MAX_JOBS],
        advice="Delete nothing. Stop the workers, verify a sample with --level checksum, "
        "and have the object store's disks and network checked.",
        next="ingestctl verify-artifacts --all --sample 5% --level checksum",
    )


def worker_host(owner: str | None) -> str:
    """The host of a lease's owner (``user@host:pid:token``); ``unknown`` for workers without leases."""
    return (owner or "unknown").rpartition("@")[2].partition(":")[0] or "unknown"


def _some(jobs: Iterable[str]) -> list[str]:
    return sorted(jobs)[:MAX_JOBS]
