"""The command tree as pages: docs/reference/commands.md and the man page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from ingestctl import __version__
from ingestctl.cli.exits import MEANINGS
from ingestctl.cli.main import app

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


@dataclass(frozen=True, slots=True)
class Parameter:
    """An argument or option as help shows it."""

    usage: str
    about: str


@dataclass(frozen=True, slots=True)
class Command:
    """One command that can be called."""

    path: str
    about: str
    usage: str
    arguments: tuple[Parameter, ...]
    options: tuple[Parameter, ...]
    exits: tuple[int, ...]


def root() -> tuple[Any, Any]:
    """The program's own command and its context."""
    command = typer.main.get_command(app)
    return command, typer.Context(command, info_name="ingestctl")


def commands() -> list[Command]:
    """Every command in the order of ``--help``, subcommands in place of their group."""
    command, context = root()
    return list(_walk(command, context, "ingestctl"))


def _walk(command: Any, context: Any, path: str) -> Iterator[Command]:
    if not hasattr(command, "list_commands"):
        yield _command(command, context, path)
        return
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        inner = typer.Context(found, info_name=name, parent=context)
        yield from _walk(found, inner, f"{path} {name}")


def _command(command: Any, context: Any, path: str) -> Command:
    return Command(
        path,
        " ".join(command.help.split()),
        " ".join([path, *command.collect_usage_pieces(context)]),
        tuple(_parameters(command, context, "argument")),
        tuple(_parameters(command, context, "option")),
        tuple(int(code) for code in re.findall(r"^ *(\d+)  ", command.epilog or "", re.MULTILINE)),
    )


def _parameters(command: Any, context: Any, kind: str) -> Iterator[Parameter]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if parameter.param_type_name == kind and record and "--help" not in parameter.opts:
            again = " May be given again." if getattr(parameter, "multiple", False) else ""
            yield Parameter(record[0], record[1].replace("  [", " [") + again)


# --- docs/reference/commands.md


def commands_page() -> str:
    """Every command: usage, arguments, options, exit codes."""
    command, context = root()
    found = commands()
    lines = ["# Commands", "", "Options before the command override settings:", ""]
    lines += _table(tuple(_parameters(command, context, "option")))
    lines += [
        "",
        "A job is named by its id or a unique prefix of it. For JSON see [json.md](json.md), for what the",
    ]
    lines += ["codes mean [exit-codes.md](exit-codes.md).", ""]
    lines += [f"- [`{c.path}`](#{c.path.replace(' ', '-')})" for c in found]
    for each in found:
        lines += ["", f"## {each.path}", "", each.about, "", "```", each.usage, "```", ""]
        lines += _table((*each.arguments, *each.options))
        lines += ["", "Exit codes: " + ", ".join(map(str, each.exits)) + "."]
    return "\n".join(lines)


def _table(parameters: Sequence[Parameter]) -> list[str]:
    def cell(text: str) -> str:
        return text.replace("|", "\\|")

    rows = [f"| `{cell(p.usage)}` | {cell(p.about)} |" for p in parameters]
    return ["| | |", "|---|---|", *rows]


# --- docs/man/ingestctl.1


def man_page(settings: Sequence[tuple[str, str]]) -> str:
    """The whole tool as one page of section 1. ``settings``: environment names and meanings."""
    command, context = root()
    lines = [
        '.\\" Written by "make docs" from the code; edit that instead.',
        f'.TH INGESTCTL 1 "" "ingestctl {__version__}" "User Commands"',
        ".SH NAME",
        f"ingestctl \\- {_roff('run, inspect, verify, retry and clean up video ingest jobs')}",
        ".SH SYNOPSIS",
        *_bold_line("ingestctl", " [OPTIONS] COMMAND [ARGS]..."),
        ".SH DESCRIPTION",
        _roff(" ".join(command.help.split())),
        ".SH OPTIONS",
        *_tagged(tuple(_parameters(command, context, "option"))),
        ".SH COMMANDS",
    ]
    for each in commands():
        name = each.path.removeprefix("ingestctl ")
        lines += [f'.SS "{_roff(name)}"', _roff(each.about), ".PP"]
        lines += _bold_line(each.path, each.usage.removeprefix(each.path))
        lines += _tagged((*each.arguments, *each.options))
        lines += [".PP", f"Exit codes: {', '.join(map(str, each.exits))}."]
    lines += [".SH EXIT STATUS", "1x: do not retry as is. 2x: retry later."]
    lines += _tagged([Parameter(str(code.value), text) for code, text in MEANINGS.items()])
    lines += [
        ".SH ENVIRONMENT",
        "Also read from the file",
        _roff(".env") + ".",
        "Secrets may be given as NAME_FILE.",
    ]
    lines += _tagged([Parameter(name, about) for name, about in settings])
    return "\n".join(lines)


def _bold_line(bold: str, rest: str) -> list[str]:
    return [f"\\fB{_roff(bold)}\\fR{_roff(rest)}"]


def _tagged(parameters: Sequence[Parameter]) -> list[str]:
    lines = []
    for each in parameters:
        lines += [".TP", f"\\fB{_roff(each.usage)}\\fR", _roff(each.about)]
    return lines


def _roff(text: str) -> str:
    """``text`` as roff shows it: nothing in it is a request, every other character is ASCII."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga").replace('"', "\\(dq")
    escaped = escaped.replace("'", "\\(aq").replace("^", "\\(ha").replace("~", "\\(ti")
    ascii_only = "".join(c if c.isascii() else f"\\[u{ord(c):04X}]" for c in escaped)
    return f"\\&{ascii_only}" if ascii_only.startswith(".") else ascii_only
