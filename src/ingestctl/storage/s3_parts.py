"""Parts in flight: each on its own daemon thread, their bytes bounded.

Daemon threads, because a stalled part must not keep a process alive that was told to stop; a thread
per part, because parts are few and large (8 MiB take far longer to send than a thread to start).
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


class PartPool:
    """Runs part uploads. ``submit`` and ``wait`` are called by one thread, ``close`` by any."""

    def __init__(self, limit_bytes: int, limit_parts: int) -> None:
        self._limit_bytes = limit_bytes
        self._limit_parts = limit_parts
        self._change = threading.Condition()
        self._bytes = 0
        self._running = 0
        self._closed = False
        self._error: Exception | None = None
        self._done: dict[int, Any] = {}

    def submit(self, number: int, size: int, work: Callable[[], Any]) -> None:
        """Run ``work`` as part ``number``; blocks until there is room (one part always has room).

        Raises the error of a part that failed before; does nothing once closed.
        """
        with self._change:
            self._change.wait_for(lambda: self._closed or self._error or self._has_room(size))
            self._raise()
            if self._closed:
                return
            self._running += 1
            self._bytes += size
        threading.Thread(target=self._run, args=(number, size, work), daemon=True).start()

    def wait(self) -> list[Any]:
        """Block until every part is done and return their results in order; raise a part's error."""
        with self._change:
            self._change.wait_for(lambda: self._closed or self._error or not self._running)
            self._raise()
            return [self._done[number] for number in sorted(self._done)]

    def close(self, patience_s: float) -> None:
        """Let no more parts start, wake who waits, and give those in flight ``patience_s`` to end."""
        with self._change:
            self._closed = True
            self._change.notify_all()
            self._change.wait_for(lambda: not self._running, patience_s)

    def _has_room(self, size: int) -> bool:
        if not self._running:
            return True
        return self._running < self._limit_parts and self._bytes + size <= self._limit_bytes

    def _raise(self) -> None:
        if self._error:
            raise self._error

    def _run(self, number: int, size: int, work: Callable[[], Any]) -> None:
        error: Exception | None = None
        result = None
        try:
            result = work()
        except Exception as raised:  # noqa: BLE001 - it is raised again in the session's own thread
            error = raised
        del work  # the part's bytes go before another part takes their room
        with self._change:
            self._running -= 1
            self._bytes -= size
            self._done[number] = result
            self._error = self._error or error
            self._change.notify_all()
