"""One way to ask a run to stop, from a signal, a lost lease or a deadline."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.domain.errors import IngestError


class Stop:
    """Set once, from any thread, with the error that says why; checked everywhere work is done.

    The first error wins. Callbacks registered with :meth:`on_stop` (kill this child, close that
    socket) run in the thread that asks to stop, at once; one registered too late runs immediately.
    """

    def __init__(self) -> None:
        self._event = threading.Event()
        # Re-entrant: a signal handler may ask to stop while the main thread is inside on_stop().
        self._lock = threading.RLock()
        self._error: IngestError | None = None
        self._callbacks: list[Callable[[], None]] = []

    @property
    def error(self) -> IngestError | None:
        """Why, or None while the run may go on."""
        return self._error

    def ask(self, error: IngestError) -> None:
        """Ask to stop because of ``error``. Later calls change nothing."""
        with self._lock:
            if self._error is not None:
                return
            self._error = error
            self._event.set()
            callbacks = list(self._callbacks)
        for callback in callbacks:
            callback()

    def check(self) -> None:
        """Raise the error that asked to stop, if any."""
        if self._error is not None:
            raise self._error

    def wait(self, seconds: float) -> None:
        """Sleep up to ``seconds``; raise at once when asked to stop."""
        self._event.wait(seconds)
        self.check()

    @contextmanager
    def on_stop(self, callback: Callable[[], None]) -> Iterator[None]:
        """Call ``callback`` if a stop is asked for while the block runs."""
        with self._lock:
            asked = self._error is not None
            self._callbacks.append(callback)
        try:
            if asked:
                callback()
            yield
        finally:
            with self._lock:
                self._callbacks.remove(callback)
