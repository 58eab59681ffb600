"""The command line: the runbook's steps first, in its order, then the worker, then set-up.

Commands are imported only when they are called: ``--help`` and ``--version`` load none of them.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from ingestctl import __version__
from ingestctl.cli.options import Output  # noqa: TC001  (typer reads it)
from ingestctl.cli.runner import OUTPUT, command_name

if TYPE_CHECKING:
    from types import ModuleType

    from ingestctl.cli.output import Result
    from ingestctl.cli.view import Format

COMMANDS = {
    "jobs": "Step 1: list and find jobs",
    "inspect": "Steps 1-2: one job: state, attempts, cause, what to type next",
    "logs": "Step 2: what happened, line by line",
    "explain": "Step 2: which cause is this error message, and what now",
    "verify-artifacts": "Step 3: original video, extracted audio, metadata record: three lines, one verdict",
    "retry": "Step 4: check, then put jobs back in the queue",
    "cleanup": "Step 5: remove what was proved broken, and only that; undo it",
    "escalate": "when to escalate: the four rules, with the numbers that fired them",
    "incidents": "Step 5: the incident log: list, show, note, close, export",
    "submit": "create jobs for URLs or files",
    "run": "the worker: run one job, or all that is queued",
    "init": "create or migrate the database, create the buckets",
    "doctor": "check everything this tool needs",
    "db": "the database's schema: status, upgrade",
    "demo": "watch one real job, on this machine alone",
}
"""Every command, in the order ``--help`` shows. ``a-b`` lives in ``commands/a_b.py``."""
ASKED = "ingestctl.asked"


class _Commands(TyperGroup):
    """Imports a command's module when the command is called."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        """Every command's name, in the runbook's order."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """The command, from its module."""
        return _command(cmd_name) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Remember what was asked for: an unknown command has no context of its own."""
        ctx.meta[ASKED] = args[0]
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ARG002
        """The list in ``--help``, without importing what it lists."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def command_module(name: str) -> ModuleType:
    """The module that holds the command ``name``."""
    return import_module(f"ingestctl.cli.commands.{name.replace('-', '_')}")


def _command(name: str) -> Any:
    module = command_module(name)
    if not hasattr(module, "app"):
        single = typer.Typer(rich_markup_mode=None, add_completion=False, context_settings=_HELP_NAMES)
        single.command(name, help=module.HELP, epilog=module.EXITS)(module.command)
        return typer.main.get_command(single)
    return typer.main.get_command(module.app)


_HELP_NAMES = {"help_option_names": ["-h", "--help"]}

app = typer.Typer(
    name="ingestctl",
    cls=_Commands,
    help="Run, inspect, verify, retry and clean up video ingest jobs without ever losing valid media.",
    rich_markup_mode=None,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings=_HELP_NAMES,
)


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
    output: Output = None,
    _show_version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
    _debug: Annotated[bool, typer.Option("--debug", help="Show the trace of a bug.")] = False,
) -> None:
    """Options before the command override settings; ``--output`` may stand here too."""
    ctx.meta[OUTPUT] = output
    given = {
        "home": home,
        "database_url": database_url,
        "storage_url": storage_url,
        "log_level": log_level,
    }
    ctx.obj = {name: value for name, value in given.items() if value is not None}


def run() -> None:
    """The console script."""
    from ingestctl.cli.output import ResultLost, lost, open_streams
    from ingestctl.cli.runner import stopped_result

    open_streams()
    try:
        try:
            code = app(standalone_mode=False)
            sys.stdout.flush()
        except typer.TyperException as error:
            code = _usage(error)
        except (typer.Abort, KeyboardInterrupt):
            code = _show("ingestctl", stopped_result())
    except (OSError, ResultLost) as error:  # help, a version or a usage error, into a full disk
        code = lost(error)
    sys.exit(code)


def _usage(error: typer.TyperException) -> int:
    """Usage errors, in the envelope too when JSON was asked for."""
    from ingestctl.cli.runner import usage_result

    context = getattr(error, "ctx", None)
    result = usage_result(error)
    if type(error).__name__ == "NoArgsIsHelpError" and not _asked_format():
        sys.stderr.write(f"{error.format_message()}\n")
        return int(result.exit)
    return _show(command_name(context) or (context and context.meta.get(ASKED)) or "ingestctl", result)


def _show(command: str, result: Result) -> int:
    from ingestctl.cli.output import show
    from ingestctl.cli.view import Style

    show(command, result, Style.choose(_asked_format(), quiet=False))
    return int(result.exit)


def _asked_format() -> Format | None:
    from ingestctl.cli.view import Format

    return next((f for f in (Format.JSON, Format.NDJSON) if _asked_for(f.value)), None)


def _asked_for(value: str) -> bool:
    words = sys.argv[1:]
    joined = (f"--output={value}", f"-o{value}", f"-o={value}")
    return any(
        w in joined or (w in ("--output", "-o") and words[i + 1 : i + 2] == [value])
        for i, w in enumerate(words)
    )
