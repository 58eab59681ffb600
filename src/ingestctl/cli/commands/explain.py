"""``ingestctl explain``: which cause is this error message, and what now (runbook Step 2)."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Block, Fields
from ingestctl.domain.errors import UsageError

if TYPE_CHECKING:
    from ingestctl.cli.schemas import DiagnosisData, Explain
    from ingestctl.domain.causes import Diagnosis

HELP = (
    "Step 2: the cause of an error message, and what to do about it. Each argument is one message (of one "
    "line or many); with `-` each line of stdin is one. Needs no settings, database or storage."
)
EXITS = exit_status()


def command(
    ctx: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="[TEXT...|-]", help="Messages.", show_default=False)
    ] = None,
    output: Output = None,
    quiet: Quiet = False,
) -> None:
    """Diagnose each message, in order."""

    def work(_: Call) -> Result:
        from ingestctl.ops.explain import explain, messages

        said = text or ([] if sys.stdin is None or sys.stdin.isatty() else ["-"])
        if "-" in said and len(said) > 1:
            raise UsageError("`-` reads stdin and goes alone", hint="Give messages or `-`, not both.")
        # Logs are not always UTF-8; one odd byte must not hide the line it is in.
        reconfigure = getattr(sys.stdin, "reconfigure", None)
        if reconfigure:
            reconfigure(errors="replace")
        found = list(explain(messages(sys.stdin) if said == ["-"] else said))
        if not found and not text:
            raise UsageError("there is nothing to explain", hint="Give an error message, or `-` for stdin.")
        data = [_data(d) for d in found]
        explained: Explain = {"diagnoses": data}
        return Result(explained, [_block(d) for d in found], items=data, quiet_ok=False)

    execute(ctx, "explain", work, output=output, quiet=quiet)


def _data(diagnosis: Diagnosis) -> DiagnosisData:
    from ingestctl.cli.commands.inspect import diagnosis_data

    return diagnosis_data(diagnosis)


def _block(diagnosis: Diagnosis) -> Block:
    return Fields(
        [
            ("cause", f"{diagnosis.title} ({diagnosis.cause})"),
            ("retryable", diagnosis.retryable),
            ("confidence", diagnosis.confidence),
            ("evidence", diagnosis.evidence),
            ("guidance", diagnosis.guidance),
            ("next", diagnosis.next),
        ]
    )
