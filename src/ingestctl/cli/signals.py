"""SIGTERM, SIGINT and SIGHUP, as requests to stop."""

from __future__ import annotations

import os
import signal
import threading
from typing import TYPE_CHECKING, TypeVar

from ingestctl.domain.errors import Exit, Interrupted

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from ingestctl.domain.stop import Stop

T = TypeVar("T")

GRACE_S = 6.0
"""Seconds a run has to wind down after it was asked to stop, before it is abandoned (exit is due in 10 s)."""

REQUEUED = "the job is back in the queue"


class SignalInterrupted(Interrupted):
    """Asked to stop by a signal; ``number`` is the signal's."""

    def __init__(self, number: int, left: str) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}; {left}")
        self.number = number

    @property
    def exit(self) -> Exit:
        """130 for SIGINT, else 143."""
        return Exit.SIGINT if self.number == signal.SIGINT else Exit.SIGTERM


def run_stoppable(work: Callable[[], T], stop: Stop, abandon: Callable[[str], None], *, left: str) -> T:
    """Run ``work`` on a thread of its own while this, the main thread, listens to signals.

    ``left`` says how a signal leaves what this command was at. A signal asks ``stop``; if the work has not
    ended within the grace time (a thread may hang in a network call), ``abandon`` gives the jobs back and
    the process exits without it.
    """
    results: list[T] = []
    failures: list[BaseException] = []

    def body() -> None:
        try:
            results.append(work())
        except BaseException as error:  # noqa: BLE001  (carried over to the main thread)
            failures.append(error)

    def on_signal(number: int, _frame: FrameType | None) -> None:
        # Not from the handler itself: callbacks take locks that the main thread may hold.
        threading.Thread(target=stop.ask, args=[SignalInterrupted(number, left)], daemon=True).start()

    previous = {n: signal.signal(n, on_signal) for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    thread = threading.Thread(target=body, name="worker", daemon=True)
    try:
        thread.start()
        while thread.is_alive() and stop.error is None:
            thread.join(0.2)
        if thread.is_alive():
            thread.join(GRACE_S)
        if thread.is_alive():
            error = stop.error or Interrupted("asked to stop")
            abandon(error.message)
            os._exit(int(error.exit))
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    if failures:
        raise failures[0]
    return results[0]
