"""Every command there is, with every option and argument it takes, read from the program itself."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ingestctl.cli import main

if TYPE_CHECKING:
    from collections.abc import Iterator

ALONE = {"demo"}
"""Takes nothing but how to print."""
FLAGS = "BoolParamType"

COMPANY = {
    ("jobs", "*"): "",
    ("inspect", "*"): "",
    ("logs", "--file"): "JOB",
    ("logs", "stdin"): "JOB",
    ("verify-artifacts", "--level"): "JOB",
    ("verify-artifacts", "--max-minutes"): "--status failed",
    ("retry", "*"): "--dry-run",
    ("retry", "--limit"): "--status failed --dry-run",
    ("retry", "--confirm"): "--status failed",
    ("retry", "--per-minute"): "--status failed --confirm 99",
    ("retry", "--reason"): "JOB",
    ("retry", "--via"): "JOB --dry-run",
    ("cleanup", "*"): "--dry-run",
    ("cleanup", "--limit"): "--status failed --dry-run",
    ("cleanup", "--max-delete"): "JOB",
    ("cleanup", "--level"): "JOB --dry-run",
    ("cleanup", "--plan-out"): "JOB",
    ("cleanup", "--confirm"): "JOB --include-valid",
    ("cleanup", "--reason"): "JOB --confirm JOB",
    ("escalate", "--over"): "--replay",
    ("escalate", "--reason"): "--open",
    ("incidents note", "name"): "TEXT",
    ("incidents note", "text"): "INCIDENT",
    ("incidents close", "name"): "--reason TEXT",
    ("incidents close", "--reason"): "INCIDENT",
    ("incidents export", "--format"): "INCIDENT",
    ("run", "--limit"): "--pending",
    ("run", "--max-minutes"): "--pending",
    ("run", "--concurrency"): "--pending",
}
"""What else a call needs so that the value is looked at: by command and parameter, ``*`` for the rest."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one value may stand: a parameter of a command."""

    command: str
    name: str
    """An option with its dashes, or an argument's name."""
    codes: frozenset[int]
    """How the command's help says that it may end."""

    def words(self, value: str, known: dict[str, str]) -> list[str]:
        """The command line with ``value`` in this place."""
        company = COMPANY.get((self.command, self.name), COMPANY.get((self.command, "*"), ""))
        more = [known.get(word, word) for word in company.split()]
        head = self.command.split()
        if self.name.startswith("-"):
            return [*head, *more, f"{self.name}={value}"]
        options = [word for word in more if word.startswith("--")]
        values = [word for word in more if word not in options]
        # The one argument that stands behind another is the note's text, or the dash of `logs`.
        ordered = [*values, value] if self.name in ("text", "stdin") and values else [value, *values]
        return [*head, *options, "--", *ordered]


def commands() -> Iterator[tuple[str, Any]]:
    """Every command with its name, subcommands as two words."""
    for name in main.COMMANDS:
        command = main._command(name)
        nested = getattr(command, "commands", None)
        if nested is None:
            yield name, command
        else:
            yield from ((f"{name} {inner}", found) for inner, found in nested.items())


def documented(command: Any) -> frozenset[int]:
    """The exit codes in the command's own help."""
    epilog = command.epilog or ""
    return frozenset(int(code) for code in re.findall(r"^ +(\d+)  ", epilog, re.MULTILINE))


def places() -> list[Place]:
    """Every parameter of every command that takes a value."""
    return [
        Place(name, parameter.opts[0], documented(command))
        for name, command in commands()
        if name not in ALONE
        for parameter in command.params
        if type(parameter.type).__name__ != FLAGS
    ]
