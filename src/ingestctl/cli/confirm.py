"""Asking a person: the id typed on a terminal, or given with ``--confirm``; nothing less."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from ingestctl.cli.output import say
from ingestctl.cli.view import Format, Style
from ingestctl.domain.errors import ConfirmationNeeded

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def confirm(
    what: str, words: Sequence[str], given: Sequence[str], lines: Iterable[str], style: Style
) -> None:
    """Return if every one of ``words`` was given, or is now typed; else raise ConfirmationNeeded.

    ``what`` is told in one sentence; ``lines`` (the plan) are shown before the question.
    """
    if set(words) <= set(given):
        return
    missing = [word for word in words if word not in given]
    options = " ".join(f"--confirm {word}" for word in missing)
    if given or not _terminal(style):
        wrong = f" (given: {', '.join(map(repr, given))})" if given else ""
        raise ConfirmationNeeded(
            f"{what} was not confirmed{wrong}; nothing was done",
            hint=f"Look with --dry-run; then add {options}.",
        )
    for line in lines:
        say(line, style)
    for word in missing:
        say(f"Type {word} to go on with this: {what}", style)
        if sys.stdin.readline().strip() != word:
            raise ConfirmationNeeded(f"{what} was not confirmed: {word} was not typed; nothing was done")


def _terminal(style: Style) -> bool:
    return style.format is Format.TABLE and sys.stdin.isatty() and sys.stderr.isatty()
