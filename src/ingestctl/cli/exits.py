"""What each exit code means: every command's EXIT STATUS, and docs/reference/exit-codes.md."""

from __future__ import annotations

from ingestctl.domain.errors import Exit

MEANINGS = {
    Exit.DONE: "done (also: it was done already)",
    Exit.BUG: "a bug in ingestctl",
    Exit.USAGE: "the command line is wrong",
    Exit.CHANGES_PENDING: "changes are pending, or a rule fired (only with --exit-code)",
    Exit.NOT_FOUND: "no such job, object or incident",
    Exit.VERIFICATION_FAILED: "checked and found bad",
    Exit.CONFIRMATION_NEEDED: "not confirmed: nothing was done",
    Exit.CONFIGURATION: "configuration or credentials are wrong, or the database needs `db upgrade`",
    Exit.CONFLICT: "conflict, refused, or a stale plan: nothing was done",
    Exit.JOB_FAILED: "the job failed, and the same call would fail again",
    Exit.PARTIAL: "a batch of which some failed",
    Exit.UNAVAILABLE: "database, storage or source unavailable, or the job failed and may be retried",
    Exit.BUSY: "another owner holds the job",
    Exit.DEADLINE: "a deadline passed",
    Exit.SIGINT: "interrupted (SIGINT); a job that `run` was at is back in the queue",
    Exit.SIGTERM: "terminated (SIGTERM); a job that `run` was at is back in the queue",
}
"""1x: do not retry as is. 2x: retry later."""

ALWAYS = (Exit.DONE, Exit.BUG, Exit.USAGE, Exit.CONFIGURATION, Exit.UNAVAILABLE)


def exit_status(*codes: Exit) -> str:
    """The EXIT STATUS paragraph of a command's help: these codes, and those every command may end with."""
    lines = [f"{code.value:>4}  {MEANINGS[code]}" for code in sorted({*ALWAYS, *codes})]
    return "EXIT STATUS\n\n\b\n" + "\n".join(lines)
