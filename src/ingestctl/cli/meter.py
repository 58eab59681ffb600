"""How far a long check has come: a line that redraws itself on a terminal, else one line per 30 s."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Self

from ingestctl.cli.output import say

if TYPE_CHECKING:
    from types import TracebackType

    from ingestctl.cli.view import Style

EVERY_S = 30.0


class Meter:
    """Call it with the number done. Prints on stderr; nothing under ``--quiet``."""

    def __init__(self, what: str, style: Style) -> None:
        self._what = what
        self._style = style
        self._began = self._said = time.monotonic()
        self._status: Any = None

    def __enter__(self) -> Self:
        if sys.stderr.isatty() and not self._style.quiet:
            from ingestctl.cli.pretty import console

            self._status = console(stderr=True).status(f"0 {self._what}")
            self._status.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._status is not None:
            self._status.stop()

    def __call__(self, done: int) -> None:
        """Tell that ``done`` are done."""
        now = time.monotonic()
        speed = done / max(now - self._began, 1e-3)
        line = f"{done} {self._what}, {speed:.0f}/s"
        if self._status is not None:
            self._status.update(line)
        elif not self._style.quiet and now - self._said >= EVERY_S:
            self._said = now
            say(line, self._style)
