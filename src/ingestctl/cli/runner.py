"""From a command function to an exit: settings, services, one result, one envelope, one exit code."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import typer

from ingestctl.cli.output import Result, ResultLost, lost, show
from ingestctl.cli.view import Format, Style
from ingestctl.domain.errors import Exit, IngestError, Interrupted, Unexpected
from ingestctl.domain.redact import Redactor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ingestctl.settings import Settings
    from ingestctl.wiring import Wiring


OUTPUT = "ingestctl.output"
"""Where the context keeps an ``--output`` that was given before the command."""


@dataclass(slots=True)
class Call:
    """One invocation of a command: its name, its style, and its services (opened when first used)."""

    name: str
    style: Style
    overrides: Mapping[str, object]
    _settings: Settings | None = None
    _wiring: Wiring | None = None
    closers: list[Callable[[], None]] = field(default_factory=list)

    @property
    def settings(self) -> Settings:
        """The settings, read once; from then on their secrets are redacted everywhere."""
        if self._settings is None:
            from ingestctl import config

            self._settings = config.load(self.overrides)
            redact = Redactor(self._settings.secrets())
            self.style = replace(self.style, redact=redact)
        return self._settings

    @property
    def wiring(self) -> Wiring:
        """The services."""
        if self._wiring is None:
            from ingestctl.wiring import Wiring

            self._wiring = Wiring(self.settings)
        return self._wiring

    def close(self) -> None:
        """Close what was opened, last first."""
        for closer in reversed(self.closers):
            closer()
        if self._wiring:
            self._wiring.close()


def execute(
    ctx: typer.Context,
    name: str,
    work: Callable[[Call], Result],
    *,
    output: Format | None,
    quiet: bool,
) -> None:
    """Run ``work``, show what came of it, and leave with its exit code."""
    overrides: Mapping[str, object] = ctx.find_root().obj or {}
    call = Call(name, Style.choose(output or ctx.meta.get(OUTPUT), quiet), overrides)
    try:
        result = _worked(call, work)
        show(name, result, call.style)
        code = int(result.exit)
    except ResultLost as error:
        code = lost(error)
    raise typer.Exit(code)


def _worked(call: Call, work: Callable[[Call], Result]) -> Result:
    try:
        return work(call)
    except ResultLost:
        raise
    except IngestError as error:
        return Result(data=None, exit=error.exit, errors=(error,))
    except KeyboardInterrupt:
        return stopped_result()
    except Exception as error:  # the program's edge: a bug is told, with its code, not traced
        if _debugging():
            raise
        return Result(data=None, exit=Exit.BUG, errors=(_bug(error),))
    finally:
        call.close()


def stopped_result() -> Result:
    """Ctrl-C in a command that holds nothing to give back."""
    return Result(data=None, exit=Exit.SIGINT, errors=(Interrupted("stopped by SIGINT"),))


def _debugging() -> bool:
    return "--debug" in sys.argv


def _bug(error: Exception) -> IngestError:
    trace = error.__traceback__
    while trace and trace.tb_next:
        trace = trace.tb_next
    where = f" ({trace.tb_frame.f_code.co_filename.rpartition('/')[2]}:{trace.tb_lineno})" if trace else ""
    hint = "This is a bug in ingestctl: report it with the trace that `--debug` shows."
    return Unexpected(f"{type(error).__name__}: {error}{where}", hint=hint)


def usage_result(error: Any) -> Result:
    """A usage error in the same envelope as everything else."""
    from ingestctl.domain.errors import UsageError

    message = error.format_message()
    if type(error).__name__ == "NoArgsIsHelpError":
        message = "no command was named"
    command = f"ingestctl {command_name(getattr(error, 'ctx', None))}".rstrip()
    return Result(data=None, exit=Exit.USAGE, errors=(UsageError(message, hint=f"See `{command} --help`."),))


def command_name(context: Any) -> str:
    """The command a context belongs to, without the program's own name: ``db status``; empty for the root."""
    names = []
    while context is not None and context.parent is not None:
        names.append(str(context.info_name))
        context = context.parent
    return " ".join(reversed(names))
