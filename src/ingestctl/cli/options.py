"""Options that many commands share, said once."""

from __future__ import annotations

from typing import Annotated

import typer

from ingestctl.cli import completion
from ingestctl.cli.view import Format
from ingestctl.domain.errors import UsageError

Output = Annotated[
    Format | None,
    typer.Option(
        "--output", "-o", help="table (TSV when piped), json (one envelope), or ndjson (one item a line)."
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing when all is well (for cron).")]
JobArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[JOB]",
        help="Job id, or a unique prefix of one.",
        show_default=False,
        autocompletion=completion.jobs,
    ),
]
JobOption = Annotated[
    str | None,
    typer.Option(
        "--job-id",
        metavar="JOB",
        help="The same, as an option.",
        show_default=False,
        autocompletion=completion.jobs,
    ),
]


def one_job(argument: str | None, option: str | None) -> str:
    """The job that was named, by argument or by ``--job-id``; a usage error if none or two."""
    if argument and option and argument != option:
        raise UsageError(f"two jobs were named: {argument!r} and --job-id {option!r}", hint="Name one.")
    name = argument or option
    if not name:
        raise UsageError(
            "no job was named", hint="Give its id or a unique prefix; `ingestctl jobs` lists them."
        )
    return name
