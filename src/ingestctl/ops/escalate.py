"""``escalate``: the four rules over the last hours, over history, and what follows when one fires."""

from __future__ import annotations

import uuid
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.db.operator import Incident
from ingestctl.domain.escalation import Checks, RuleResult, Severity, Tally, Thresholds, evaluate, worst
from ingestctl.domain.escalation import tally as count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Protocol

    from ingestctl.db.operator import FactStore, FailureFact, IncidentStore, OperatorStore

    class EscalationStore(OperatorStore, FactStore, IncidentStore, Protocol):
        """What escalation asks of the database."""


KIND = "escalation"
STEPS_A_WINDOW = 24
MAX_STEPS = 2000
MAX_EPISODES = 100


@dataclass(frozen=True, slots=True)
class Escalation:
    """What the rules say of one window."""

    since: datetime
    until: datetime
    rules: Sequence[RuleResult]

    @property
    def fired(self) -> Sequence[RuleResult]:
        """The rules that fired."""
        return [r for r in self.rules if r.fired]

    @property
    def severity(self) -> Severity | None:
        """The gravest of them."""
        return worst(self.rules)


def assess(store: FactStore, *, since: datetime, until: datetime, limits: Thresholds) -> Escalation:
    """Evaluate the rules over what ended in ``[since, until)``."""
    seen = count(store.attempts_between(since, until))
    checks = Checks(*store.bad_checks_between(since, until))
    return Escalation(since, until, evaluate(seen, checks, limits))


# --- history ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Episode:
    """A stretch of time in which a rule stayed fired: the ends of the first and the last such window."""

    begin: datetime
    end: datetime
    severity: Severity | None
    summary: str
    """Of the first window."""


@dataclass(frozen=True, slots=True)
class Replayed:
    """One rule over history. ``episodes`` holds the latest MAX_EPISODES; ``times`` counts all."""

    rule: str
    title: str
    times: int
    windows_fired: int
    episodes: Sequence[Episode]


@dataclass(frozen=True, slots=True)
class Replay:
    """How often each rule would have fired, had it been asked every ``step``."""

    since: datetime
    until: datetime
    window: timedelta
    step: timedelta
    windows: int
    rules: Sequence[Replayed]


def replay(
    store: FactStore, *, since: datetime, until: datetime, window: timedelta, limits: Thresholds
) -> Replay:
    """Slide a window over ``[since, until)``; every attempt is read once.

    Attempts are counted by steps; a window is the sum of its steps, so memory holds one window's counts.
    Artifacts remember only their latest check: of what was checked again, the corruption rule counts what a
    cleanup found.
    """
    step = min(window, max(window / STEPS_A_WINDOW, (until - since) / MAX_STEPS))
    facts = _Ahead(store.attempts_between(since - window, until))
    held: deque[tuple[datetime, Tally]] = deque()
    history: dict[str, _History] = {}
    windows, end = 0, since - window
    any_bad = store.bad_checks_between(since - window, until)[1] > 0
    while end < until:
        begin, end = end, min(end + step, until)
        held.append((begin, count(facts.before(end))))
        # Half a step of grace: steps are rounded to microseconds, and the last one is cut.
        while held[0][0] + step / 2 < end - window:
            held.popleft()
        if end <= since:
            continue
        windows += 1
        seen = Tally()
        for _, part in held:
            seen.join(part)
        checks = Checks(*store.bad_checks_between(end - window, end)) if any_bad else Checks()
        for result in evaluate(seen, checks, limits):
            history.setdefault(result.rule, _History(result.title)).tell(end, result)
    rules = [h.end(rule) for rule, h in history.items()]
    return Replay(since, until, window, step, windows, rules)


class _Ahead:
    """Facts in order, handed out up to a moment."""

    def __init__(self, facts: Iterator[FailureFact]) -> None:
        self._facts = facts
        self._next = next(facts, None)

    def before(self, moment: datetime) -> Iterator[FailureFact]:
        while self._next is not None and self._next.at < moment:
            yield self._next
            self._next = next(self._facts, None)


class _History:
    def __init__(self, title: str) -> None:
        self._title = title
        self._times = 0
        self._fired = 0
        self._episodes: deque[Episode] = deque(maxlen=MAX_EPISODES)
        self._was_fired = False

    def tell(self, at: datetime, result: RuleResult) -> None:
        if result.fired:
            self._fired += 1
            if self._was_fired:
                last = self._episodes.pop()
                grave = min((s for s in (last.severity, result.severity) if s), default=None)
                self._episodes.append(Episode(last.begin, at, grave, last.summary))
            else:
                self._times += 1
                self._episodes.append(Episode(at, at, result.severity, result.summary))
        self._was_fired = result.fired

    def end(self, rule: str) -> Replayed:
        return Replayed(rule, self._title, self._times, self._fired, list(self._episodes))


# --- the incident -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Opened:
    """The incident of an escalation: a new one, or the open one that the same rules had already."""

    incident: Incident
    created: bool


def open_incident(
    store: EscalationStore,
    found: Escalation,
    *,
    actor: str,
    reason: str,
    details: Mapping[str, Any],
    bundle: Callable[[str], Mapping[str, Any]],
) -> Opened:
    """Write the incident of the rules that fired; cron may ask every few minutes, so one per set of rules.

    ``bundle`` saves the evidence of a new incident (by its id) and says where it is; what it says becomes
    the incident's first entry. The incident is written first: evidence without one would be found by nobody.
    """
    rules = sorted(r.rule for r in found.fired)
    for known in store.incidents(status="open", kind=KIND, limit=100):
        if known.details.get("rules") == rules:
            summaries = {r.rule: r.summary for r in found.fired}
            store.note_incident(known.id, actor=actor, kind="fired_again", payload={"summaries": summaries})
            return Opened(known, created=False)
    incident = store.open_incident(
        Incident(
            id=f"esc-{uuid.uuid4().hex[:16]}",
            kind=KIND,
            status="open",
            severity=found.severity or "SEV-4",
            title="; ".join(r.title for r in found.fired),
            reason=reason or "; ".join(r.summary for r in found.fired),
            actor=actor,
            opened_at=found.until,
            details={"rules": rules, **details},
        )
    )
    store.note_incident(incident.id, actor=actor, kind="evidence", payload=bundle(incident.id))
    return Opened(incident, created=True)


def jobs_behind(rules: Iterable[RuleResult], limit: int) -> Sequence[str]:
    """Jobs to collect evidence of: some of each rule's, none twice."""
    queues = [deque(r.jobs) for r in rules if r.fired]
    chosen: dict[str, None] = {}
    while len(chosen) < limit and any(queues):
        for queue in queues:
            if queue and len(chosen) < limit:
                chosen[queue.popleft()] = None
    return list(chosen)


def message(found: Escalation, incident: Incident | None) -> tuple[str, str]:
    """Title and text of a notification."""
    title = f"[{found.severity}] ingest: {'; '.join(r.title for r in found.fired)}"
    lines = [f"{r.severity} {r.title}: {r.summary}\n  {r.advice}\n  {r.next}" for r in found.fired]
    if incident is not None:
        lines.append(f"Incident {incident.id}: ingestctl incidents show {incident.id}")
    return title, "\n".join(lines)
