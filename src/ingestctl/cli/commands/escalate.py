"""``ingestctl escalate``: the runbook's four rules, for people and for cron."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Fields, Lines, Seconds, Table
from ingestctl.domain.errors import Exit, IngestError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ingestctl.cli.schemas_operator import Escalate, EscalateReplay
    from ingestctl.ops.escalate import Escalation, Opened, Replay

HELP = (
    "When to escalate: many failures with the same source, storage unavailable, workers crashing, or "
    "corruption; each rule with the numbers that decided, the jobs behind it, a severity and what to do. "
    "For cron: `escalate --quiet --exit-code --open --notify` prints nothing while all is quiet; an incident "
    "that is open for the same rules already is noted on, and nobody is told again."
)
EXITS = exit_status(Exit.CHANGES_PENDING)
BUNDLE_JOBS = 8
"""Jobs whose reports go into a bundle."""


def command(
    ctx: typer.Context,
    since: Annotated[str, typer.Option("--since", help="How far back a window reaches.")] = "24h",
    exit_code: Annotated[bool, typer.Option("--exit-code", help="End with 3 when a rule fired.")] = False,
    replay: Annotated[bool, typer.Option("--replay", help="How often each would have fired.")] = False,
    over: Annotated[
        str | None, typer.Option("--over", metavar="AGE", help="With --replay: how far back. Default: 30d.")
    ] = None,
    open_: Annotated[
        bool, typer.Option("--open", help="Write an incident with the evidence when a rule fired.")
    ] = False,
    archive: Annotated[bool, typer.Option("--archive", help="With --open: the evidence as .tar.gz.")] = False,
    notify: Annotated[
        bool, typer.Option("--notify", help="Tell INGESTCTL_NOTIFY_URLS when a rule fired.")
    ] = False,
    reason: Annotated[str, typer.Option("--reason", help="With --open: written into the incident.")] = "",
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Evaluate the rules over the last hours, or over history."""

    def work(call: Call) -> Result:
        if over and not replay:
            raise UsageError("--over says how far back --replay looks", hint="Add --replay, or use --since.")
        if replay and (open_ or notify or exit_code):
            raise UsageError("--replay is about the past: it goes without --open, --notify and --exit-code")
        if archive and not open_:
            raise UsageError("--archive needs --open")
        if replay:
            return _replay(call, since, over or "30d")
        return _now(
            call, since, exit_code=exit_code, open_=open_, archive=archive, notify=notify, reason=reason
        )

    execute(ctx, "escalate", work, output=output, quiet=quiet)


def _now(
    call: Call, since: str, *, exit_code: bool, open_: bool, archive: bool, notify: bool, reason: str
) -> Result:
    from ingestctl.ops.escalate import assess
    from ingestctl.ops.find import moment

    store = call.wiring.store
    # Asked for before the rules are: a wrong address must not be found out when it is needed.
    notifier = call.wiring.notifier() if notify else None
    now = store.now()
    begin = moment("--since", since, now) or now
    if begin >= now:
        raise UsageError(f"--since {since!r} is not in the past")
    found = assess(store, since=begin, until=now, limits=call.wiring.thresholds)
    data = _data(found)
    warnings: list[str] = []
    errors: list[IngestError] = []
    opened = None
    if found.fired and open_:
        opened = _open(call, found, archive, reason, warnings)
        data["incident"] = {"id": opened.incident.id, "created": opened.created}
    if found.fired and notifier and (opened is None or opened.created):
        from ingestctl.ops.escalate import message

        redact = call.wiring.redact
        title, text = message(found, opened.incident if opened else None)
        try:
            data["notified"] = notifier.send(redact(title), redact(text))
        except IngestError as error:
            errors.append(error)
    code = Exit.CHANGES_PENDING if found.fired and exit_code else Exit.DONE
    code = errors[0].exit if errors else code
    quiet_ok = not found.fired
    return Result(data, _blocks(found, opened), code, errors, warnings, data["rules"], quiet_ok)


def _open(call: Call, found: Escalation, archive: bool, reason: str, warnings: list[str]) -> Opened:
    from ingestctl.cli.view import plain
    from ingestctl.domain.stop import Stop
    from ingestctl.ops.bundle import save_bundle
    from ingestctl.ops.escalate import jobs_behind, open_incident

    wiring = call.wiring
    jobs = jobs_behind(found.rules, BUNDLE_JOBS)

    def bundle(incident_id: str) -> Mapping[str, Any]:
        target = wiring.settings.home_dir / "incidents" / incident_id
        try:
            target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            path = save_bundle(
                target,
                wiring.store,
                jobs,
                plain(_data(found)),
                verify=wiring.verifier(Stop()).verify,
                redact=wiring.redact,
                archive=archive,
            )
        except (OSError, IngestError) as error:
            warnings.append(f"the evidence was not saved: {error}")
            return {"not_saved": str(error)}
        warnings.append(f"evidence: {path}")
        return {"path": str(path), "jobs": list(jobs)}

    details = {"since": plain(found.since), "until": plain(found.until)}
    opened = open_incident(
        wiring.store, found, actor=wiring.actor, reason=reason, details=details, bundle=bundle
    )
    if not opened.created:
        warnings.append(f"incident {opened.incident.id} is open for the same rules already")
    return opened


def _data(found: Escalation) -> Escalate:
    return {
        "since": found.since,
        "until": found.until,
        "severity": found.severity,
        "fired": [r.rule for r in found.fired],
        "rules": [
            {
                "rule": r.rule,
                "title": r.title,
                "fired": r.fired,
                "severity": r.severity,
                "summary": r.summary,
                "numbers": dict(r.numbers),
                "jobs": list(r.jobs),
                "advice": r.advice if r.fired else "",
                "next": r.next,
            }
            for r in found.rules
        ],
    }


def _blocks(found: Escalation, opened: Opened | None) -> Sequence[Block]:
    rows = [
        (r.rule, "FIRED" if r.fired else "quiet", r.severity, r.summary, _thresholds(r.numbers))
        for r in found.rules
    ]
    blocks: list[Block] = [Table(("rule", "state", "severity", "reason", "threshold"), rows)]
    for rule in found.fired:
        pairs = [("jobs", " ".join(rule.jobs)), ("what to do", rule.advice), ("next", rule.next)]
        blocks.append(Fields(pairs, title=f"{rule.severity} {rule.title}"))
    if opened is not None:
        blocks.append(Lines([f"next: ingestctl incidents show {opened.incident.id}"]))
    return blocks


def _thresholds(numbers: Mapping[str, object]) -> str:
    told = {k.removeprefix("threshold_"): v for k, v in numbers.items() if k.startswith("threshold_")}
    return " ".join(f"{name}>={value}" for name, value in told.items())


def _replay(call: Call, since: str, over: str) -> Result:
    from ingestctl.ops.escalate import replay
    from ingestctl.ops.find import moment

    store = call.wiring.store
    now = store.now()
    begin = moment("--over", over, now) or now
    window = now - (moment("--since", since, now) or now)
    if begin >= now or window.total_seconds() <= 0:
        raise UsageError("--over and --since must lie in the past")
    done = replay(store, since=begin, until=now, window=window, limits=call.wiring.thresholds)
    return Result(_replay_data(done), _replay_blocks(done), quiet_ok=False)


def _replay_data(done: Replay) -> EscalateReplay:
    return {
        "since": done.since,
        "until": done.until,
        "window_s": done.window.total_seconds(),
        "step_s": done.step.total_seconds(),
        "windows": done.windows,
        "rules": [
            {
                "rule": r.rule,
                "title": r.title,
                "times": r.times,
                "windows_fired": r.windows_fired,
                "episodes": [
                    {"begin": e.begin, "end": e.end, "severity": e.severity, "summary": e.summary}
                    for e in r.episodes
                ],
            }
            for r in done.rules
        ],
    }


def _replay_blocks(done: Replay) -> Sequence[Block]:
    rows = [(r.rule, r.times, f"{r.windows_fired} of {done.windows}") for r in done.rules]
    episodes = [
        (r.rule, e.severity, e.begin, Seconds((e.end - e.begin).total_seconds()), e.summary)
        for r in done.rules
        for e in r.episodes
    ]
    blocks: list[Block] = [Table(("rule", "times fired", "windows"), rows)]
    if episodes:
        blocks.append(Table(("rule", "severity", "from", "lasted", "reason"), episodes, title="episodes"))
    return blocks
