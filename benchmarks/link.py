"""A throttled link: a TCP proxy that passes bytes on no faster than a given rate each way.

One direction of all connections together shares one rate, as on a real line.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

CHUNK = 64 * 1024
LATENESS_S = 0.05
"""Sleeping a little too long is made up for, so the line carries its rate."""


class Pace:
    """Hands out time slots on one direction of the line."""

    def __init__(self, bytes_per_s: float) -> None:
        self._rate = bytes_per_s
        self._lock = threading.Lock()
        self._free_at = 0.0

    def wait_for(self, size: int) -> None:
        with self._lock:
            now = time.monotonic()
            self._free_at = max(self._free_at, now - LATENESS_S) + size / self._rate
            wait = self._free_at - now
        time.sleep(max(0.0, wait))


@contextlib.contextmanager
def throttled(url: str, bytes_per_s: float) -> Iterator[str]:
    """The URL of a proxy before ``url`` for the block: same path, another port."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    target = (parts.hostname, parts.port or 80)
    up, down = Pace(bytes_per_s), Pace(bytes_per_s)
    with socket.create_server(("127.0.0.1", 0), backlog=64) as server:
        threading.Thread(target=_accept, args=(server, target, up, down), daemon=True).start()
        yield f"{parts.scheme}://127.0.0.1:{server.getsockname()[1]}{parts.path}"


def _accept(server: socket.socket, target: tuple[str, int], up: Pace, down: Pace) -> None:
    while True:
        try:
            client, _ = server.accept()
        except OSError:
            return
        try:
            upstream = socket.create_connection(target)
        except OSError:
            client.close()
            continue
        for source, sink, pace in ((client, upstream, up), (upstream, client, down)):
            threading.Thread(target=_pump, args=(source, sink, pace), daemon=True).start()


def _pump(source: socket.socket, sink: socket.socket, pace: Pace) -> None:
    with contextlib.suppress(OSError):
        while chunk := source.recv(CHUNK):
            pace.wait_for(len(chunk))
            sink.sendall(chunk)
    with contextlib.suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
