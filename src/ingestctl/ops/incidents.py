"""The incident log: list, show, note, close, export."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.domain.errors import UsageError
from ingestctl.ops.find import moment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ingestctl.db.holds import CleanupStore
    from ingestctl.db.operator import Incident, IncidentEntry
    from ingestctl.domain.redact import Redactor

STATUSES = ("open", "closed")


@dataclass(frozen=True, slots=True)
class IncidentReport:
    """One incident with its entries, oldest first."""

    incident: Incident
    entries: Sequence[IncidentEntry]


@dataclass(frozen=True, slots=True)
class Noted:
    """An incident that was noted on or closed; ``changed`` is False if it was closed before."""

    incident: Incident
    changed: bool


def list_incidents(
    store: CleanupStore,
    *,
    status: str | None = None,
    kind: str | None = None,
    job: str | None = None,
    since: str | None = None,
    limit: int = 50,
) -> Sequence[Incident]:
    """Newest first. Raises UsageError naming the word that makes no sense, NotFound for the job."""
    if status is not None and status not in STATUSES:
        raise UsageError(f"--status: {status!r} is not one of: {', '.join(STATUSES)}")
    after = moment("--since", since, store.now()) if since else None
    job_id = store.resolve(job).id if job else None
    return store.incidents(status=status, kind=kind, job_id=job_id, since=after, limit=limit)


def show_incident(store: CleanupStore, name: str) -> IncidentReport:
    """By id or unique prefix. Raises NotFound, Conflict."""
    incident = store.incident(name)
    return IncidentReport(incident, store.incident_entries(incident.id))


def note(store: CleanupStore, name: str, text: str, *, actor: str) -> Noted:
    """Add a person's note."""
    incident = store.incident(name)
    store.note_incident(incident.id, actor=actor, kind="note", payload={"text": _said("note", text)})
    return Noted(incident, changed=True)


def close(store: CleanupStore, name: str, text: str, *, actor: str) -> Noted:
    """Close it with a word why. A cleanup that was begun and not finished can be closed by hand too."""
    incident = store.incident(name)
    changed = store.close_incident(incident.id, actor=actor, payload={"text": _said("reason", text)})
    return Noted(store.incident(incident.id), changed)


def markdown(report: IncidentReport, redact: Redactor) -> str:
    """The incident as a page to file or send, with secrets redacted."""
    incident = report.incident
    facts = {
        "Status": incident.status,
        "Severity": incident.severity,
        "Kind": incident.kind,
        "Job": incident.job_id,
        "Video": incident.video_id,
        "Opened": f"{incident.opened_at.isoformat(timespec='seconds')} by {incident.actor}",
        "Closed": incident.closed_at.isoformat(timespec="seconds") if incident.closed_at else None,
        "Reason": incident.reason or None,
    }
    lines = [f"# {_cell(incident.title)}", "", f"Incident `{incident.id}`", ""]
    lines += [f"- **{name}**: {_cell(value)}" for name, value in facts.items() if value]
    lines += ["", "| At (UTC) | Who | What | Details |", "|---|---|---|---|"]
    for entry in report.entries:
        at = entry.at.isoformat(sep=" ", timespec="seconds").removesuffix("+00:00")
        lines.append(f"| {at} | {_cell(entry.actor)} | {_cell(entry.kind)} | {_cell(summary(entry))} |")
    return redact("\n".join(lines) + "\n")


def summary(entry: IncidentEntry) -> str:
    """One entry in one line."""
    payload = entry.payload
    if "text" in payload:
        return str(payload["text"])
    words = [str(payload[k]) for k in ("action", "outcome", "reason", "message", "refused") if payload.get(k)]
    place = payload.get("object")
    if isinstance(place, dict):
        words.append(f"{place.get('bucket')}/{place.get('key')}")
    if payload.get("proof"):
        words.append(f"({payload['proof']})")
    if isinstance(payload.get("applied"), list):
        words.append(f"{len(payload['applied'])} applied")
    if payload.get("reset"):
        words.append("job back in the queue")
    return " ".join(words)


def _said(name: str, text: str) -> str:
    if not text.strip():
        raise UsageError(f"the {name} is empty", hint=f"Say it in words: --{name} 'why'.")
    return text.strip()


def _cell(value: Any) -> str:
    """Text from outside, kept on its line and in its cell."""
    text = "".join(c if c.isprintable() else " " for c in str(value))
    for char in "\\`*_[]<>|#":
        text = text.replace(char, "\\" + char)
    return text
