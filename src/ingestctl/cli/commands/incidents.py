"""``ingestctl incidents``: the incident log (runbook Step 5.3)."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli import completion
from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Fields, Lines, Table
from ingestctl.domain.errors import Exit

if TYPE_CHECKING:
    from ingestctl.cli.schemas_operator import (
        EntryData,
        IncidentChanged,
        IncidentData,
        IncidentReportData,
        Incidents,
    )
    from ingestctl.db.operator import Incident, IncidentEntry
    from ingestctl.ops.incidents import IncidentReport

HELP = "Step 5.3: the incident log: what was done, by whom, why, and on which proof."
EXITS = exit_status(Exit.NOT_FOUND, Exit.CONFLICT)

app = typer.Typer(help=HELP, epilog=EXITS, rich_markup_mode=None, no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="INCIDENT", help="Incident id, or a unique prefix of one.")]


class _Page(StrEnum):
    MD = "md"
    JSON = "json"


@app.command("list", help="Incidents, newest first.", epilog=EXITS)
def list_(
    ctx: typer.Context,
    status: Annotated[str | None, typer.Option("--status", "-s", help="open or closed.")] = None,
    kind: Annotated[str | None, typer.Option("--kind", help="cleanup, escalation, ...")] = None,
    job: Annotated[
        str | None,
        typer.Option(
            "--job",
            metavar="JOB",
            help="Of this job.",
            autocompletion=completion.jobs,
        ),
    ] = None,
    since: Annotated[str | None, typer.Option("--since", help="Opened since: 2h, 7d, or a date.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=10_000, help="At most this many.")] = 50,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Fetch one page, show it."""

    def work(call: Call) -> Result:
        from ingestctl.ops.incidents import list_incidents

        found = list_incidents(call.wiring.store, status=status, kind=kind, job=job, since=since, limit=limit)
        columns = ("incident", "status", "severity", "kind", "job", "opened", "who", "title")
        rows = [(i.id, i.status, i.severity, i.kind, i.job_id, i.opened_at, i.actor, i.title) for i in found]
        none = () if rows else (Lines(["no incidents match"]),)
        data = [incident_data(i) for i in found]
        listed: Incidents = {"incidents": data}
        return Result(listed, (Table(columns, rows), *none), items=data)

    execute(ctx, "incidents list", work, output=output, quiet=quiet)


@app.command("show", help="One incident with all its entries.", epilog=EXITS)
def show(ctx: typer.Context, name: _Name, output: Output = None, quiet: Quiet = False) -> None:
    """Fetch one, show it whole."""

    def work(call: Call) -> Result:
        from ingestctl.ops.incidents import show_incident, summary

        report = show_incident(call.wiring.store, name)
        rows = [(e.at, e.actor, e.kind, summary(e)) for e in report.entries]
        table = Table(("at", "who", "what", "details"), rows, title="entries")
        return Result(report_data(report), (_fields(report.incident), table), quiet_ok=False)

    execute(ctx, "incidents show", work, output=output, quiet=quiet)


@app.command("note", help="Add a note. Entries are never changed or removed.", epilog=EXITS)
def note(
    ctx: typer.Context,
    name: _Name,
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to note.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Append a person's words."""

    def work(call: Call) -> Result:
        from ingestctl.ops import incidents

        done = incidents.note(call.wiring.store, name, text, actor=call.wiring.actor)
        data: IncidentChanged = {"incident": done.incident.id, "changed": True}
        return Result(data, (Lines(["noted"]),))

    execute(ctx, "incidents note", work, output=output, quiet=quiet)


@app.command("close", help="Close an incident, and say how it ended.", epilog=EXITS)
def close(
    ctx: typer.Context,
    name: _Name,
    reason: Annotated[str, typer.Option("--reason", help="How it ended.")],
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Close it; closed already is no error."""

    def work(call: Call) -> Result:
        from ingestctl.ops import incidents

        done = incidents.close(call.wiring.store, name, reason, actor=call.wiring.actor)
        word = "closed" if done.changed else "unchanged: it was closed already"
        data: IncidentChanged = {"incident": done.incident.id, "changed": done.changed}
        return Result(data, (Lines([word]),))

    execute(ctx, "incidents close", work, output=output, quiet=quiet)


@app.command("export", help="One incident as a page to file or send, secrets redacted.", epilog=EXITS)
def export(
    ctx: typer.Context,
    name: _Name,
    format: Annotated[_Page, typer.Option("--format", help="md or json.")] = _Page.MD,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Print it: Markdown by line, or the envelope's JSON."""
    from ingestctl.cli.view import Format

    def work(call: Call) -> Result:
        from ingestctl.ops.incidents import markdown, show_incident

        report = show_incident(call.wiring.store, name)
        page = markdown(report, call.wiring.redact).splitlines()
        return Result(report_data(report), (Lines(page, data=True),), quiet_ok=False)

    wanted = Format.JSON if format is _Page.JSON else output
    execute(ctx, "incidents export", work, output=wanted, quiet=quiet)


def incident_data(incident: Incident) -> IncidentData:
    """One incident as JSON."""
    return {
        "id": incident.id,
        "kind": incident.kind,
        "status": incident.status,
        "severity": incident.severity,
        "title": incident.title,
        "reason": incident.reason,
        "actor": incident.actor,
        "job_id": incident.job_id,
        "video_id": incident.video_id,
        "opened_at": incident.opened_at,
        "closed_at": incident.closed_at,
    }


def report_data(report: IncidentReport) -> IncidentReportData:
    """One incident, whole, as JSON."""
    return {
        "incident": {**incident_data(report.incident), "details": dict(report.incident.details)},
        "entries": [_entry(e) for e in report.entries],
    }


def _entry(entry: IncidentEntry) -> EntryData:
    return {
        "id": entry.id,
        "incident_id": entry.incident_id,
        "at": entry.at,
        "actor": entry.actor,
        "kind": entry.kind,
        "payload": dict(entry.payload),
    }


def _fields(incident: Incident) -> Fields:
    return Fields(
        [
            ("incident", incident.id),
            ("title", incident.title),
            ("status", incident.status),
            ("severity", incident.severity),
            ("kind", incident.kind),
            ("job", incident.job_id),
            ("video", incident.video_id),
            ("reason", incident.reason or None),
            ("opened", incident.opened_at),
            ("closed", incident.closed_at),
            ("who", incident.actor),
        ]
    )
