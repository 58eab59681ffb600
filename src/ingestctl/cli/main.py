"""The command line: the runbook's steps first, in its order, then the worker, then set-up."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from ingestctl import __version__
from ingestctl.cli.commands import db, demo, doctor, init, inspect, jobs, logs, submit
from ingestctl.cli.commands import run as run_command

_RUNBOOK, _WORKER, _SETUP = "Runbook", "Worker", "Set-up"

app = typer.Typer(
    name="ingestctl",
    help="Run, inspect, verify, retry and clean up video ingest jobs without ever losing valid media.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("jobs", help=jobs.HELP, epilog=jobs.EXITS)(jobs.command)
app.command("inspect", help=inspect.HELP, epilog=inspect.EXITS)(inspect.command)
app.command("logs", help=logs.HELP, epilog=logs.EXITS)(logs.command)
app.command("submit", help=submit.HELP, epilog=submit.EXITS)(submit.command)
app.command("run", help=run_command.HELP, epilog=run_command.EXITS)(run_command.command)
app.command("init", help=init.HELP, epilog=init.EXITS)(init.command)
app.command("doctor", help=doctor.HELP, epilog=doctor.EXITS)(doctor.command)
app.add_typer(db.app, name="db")
app.command("demo", help=demo.HELP, epilog=demo.EXITS)(demo.command)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"ingestctl {__version__}")
        raise typer.Exit


@app.callback()
def root(
    ctx: typer.Context,
    home: Annotated[
        str | None,
        typer.Option("--home", metavar="FOLDER", help="Where everything lies by default. INGESTCTL_HOME."),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option("--database-url", metavar="URL", help="postgresql://… or sqlite:///… DATABASE_URL."),
    ] = None,
    storage_url: Annotated[
        str | None,
        typer.Option("--storage-url", metavar="URL", help="s3:// or file:///… INGESTCTL_STORAGE_URL."),
    ] = None,
    log_level: Annotated[
        str | None,
        typer.Option("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR. LOG_LEVEL."),
    ] = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the trace of a bug.")] = False,
) -> None:
    """Options before the command override settings."""
    given = {
        "home": home,
        "database_url": database_url,
        "storage_url": storage_url,
        "log_level": log_level,
    }
    ctx.obj = {name: value for name, value in given.items() if value is not None}


def run() -> None:
    """The console script."""
    try:
        code = app(standalone_mode=False)
    except typer.TyperException as error:
        code = _usage(error)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    sys.exit(code)


def _usage(error: typer.TyperException) -> int:
    """Usage errors, in the envelope too when JSON was asked for."""
    from ingestctl.cli.output import Format, Style, show
    from ingestctl.cli.runner import usage_result

    asked = next((f for f in (Format.JSON, Format.NDJSON) if _asked_for(f.value)), None)
    result = usage_result(error)
    command = next((word for word in sys.argv[1:] if not word.startswith("-")), "ingestctl")
    show(command, result, Style.choose(asked, quiet=False))
    return int(result.exit)


def _asked_for(value: str) -> bool:
    words = sys.argv[1:]
    joined = (f"--output={value}", f"-o{value}", f"-o={value}")
    return any(
        w in joined or (w in ("--output", "-o") and words[i + 1 : i + 2] == [value])
        for i, w in enumerate(words)
    )
