"""``ingestctl doctor``: is everything this tool needs there and working."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Lines, Table
from ingestctl.domain.errors import ConfigurationError, Exit, IngestError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ingestctl.cli.schemas_setup import CheckData, Doctor, DoctorConfig
    from ingestctl.ops.setup import Check
    from ingestctl.wiring import Wiring

HELP = "Check database, schema, clock, buckets and their promises, ffmpeg, yt-dlp and its age, scratch."
EXITS = exit_status()


def command(
    ctx: typer.Context,
    show_config: Annotated[
        bool, typer.Option("--show-config", help="Print each setting's value and where it came from.")
    ] = False,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Run the checks, or show the settings."""

    def work(call: Call) -> Result:
        if show_config:
            return _config(call)
        checks = list(_checks(call.wiring))
        return _result(checks)

    execute(ctx, "doctor", work, output=output, quiet=quiet)


def _config(call: Call) -> Result:
    from ingestctl import config

    shown = config.show(call.settings, call.overrides)
    rows = [(s.name, s.value, s.source) for s in shown]
    data: DoctorConfig = {"settings": [{"name": s.name, "value": s.value, "source": s.source} for s in shown]}
    return Result(
        data, (Table(("setting", "value", "source"), rows),), items=data["settings"], quiet_ok=False
    )


def _checks(wiring: Wiring) -> Iterator[Check]:
    from ingestctl.ops.setup import Check, check_clock, check_scratch, check_storage, checked

    def schema() -> Check:
        if wiring.settings.embedded_database:
            _ = wiring.store
        else:
            wiring.raw_store.check_schema()
        return Check("schema", "ok", "up to date")

    def database() -> Check:
        now = wiring.raw_store.now()
        return Check("database", "ok", f"{wiring.raw_store.url} answers ({now:%H:%M:%S} UTC)")

    reached = checked("database", database)
    yield reached
    if reached.verdict == "ok":
        yield checked("schema", schema)
        yield checked("clock", lambda: check_clock(wiring.raw_store))
    else:
        yield from (Check(name, "skip", "not looked at: no database") for name in ("schema", "clock"))
    try:
        yield from check_storage(wiring.storage, wiring.buckets)
    except IngestError as error:
        yield Check("storage", "fail", error.message, error.hint, error)
    yield from _tools(wiring)
    yield checked(
        "scratch", lambda: check_scratch(wiring.settings.scratch_root, int(wiring.settings.min_free_bytes))
    )


def _tools(wiring: Wiring) -> Iterator[Check]:
    from datetime import UTC, datetime
    from importlib.metadata import version as package_version

    from ingestctl.domain.stop import Stop
    from ingestctl.media.tools import version
    from ingestctl.ops.setup import Check, check_javascript, check_ytdlp, checked

    def tool(name: str) -> Check:
        tools = wiring.tools()
        path = getattr(tools, name)
        return Check(name, "ok", f"{version(path, Stop())} ({tools.origin}: {path})")

    yield checked("ffmpeg", lambda: tool("ffmpeg"))
    yield checked("ffprobe", lambda: tool("ffprobe"))
    yield check_ytdlp(package_version("yt-dlp"), datetime.now(UTC).date())
    yield check_javascript()


def _result(checks: list[Check]) -> Result:
    found: list[CheckData] = [
        {"id": c.id, "verdict": c.verdict, "status": c.verdict, "detail": c.detail, "hint": c.hint}
        for c in checks
    ]
    data: Doctor = {"checks": found}
    hints = [f"{c.id}: {c.hint}" for c in checks if c.hint and c.verdict == "warn"]
    errors = [c.error or ConfigurationError(f"{c.id}: {c.detail}", hint=c.hint) for c in checks if c.failed]
    # One outage fails several checks: it is told once. Configuration comes before unavailability.
    told = list({error.message: error for error in errors}.values())
    code = min((error.exit for error in told), default=Exit.DONE)
    rows: list[tuple[Any, ...]] = [(c.id, c.verdict, c.detail) for c in checks]
    table = Table(("check", "result", "detail"), rows)
    return Result(data, (table, Lines(hints)), code, told, items=found)
