"""A TCP proxy that does to a line what networks and dying services do to it. Switchable while it runs.

``line`` is a fault of every connection, open or new, until it is changed. ``watch`` sees each request (over
HTTP its first bytes, else whatever the client sends at once) and may give that one exchange a fault.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Kind = Literal["refuse", "reset", "stall", "cut", "drop", "mute", "throttle", "latency", "answer"]
METHODS = (b"GET ", b"PUT ", b"POST ", b"HEAD ", b"DELETE ")
_CHUNK = 65536
_RST = struct.pack("ii", 1, 0)


@dataclass(frozen=True, slots=True)
class Fault:
    """What becomes of a connection.

    ``refuse``: nobody listens, and open connections are reset. ``reset``: those and new ones are. ``stall``:
    nothing passes either way. ``cut``: closed after ``value`` bytes of the reply. ``drop``: closed instead of
    the reply to a request that arrived. ``mute``: that reply never comes, and the connection stays.
    ``throttle``: ``value`` bytes a second. ``latency``: ``value`` seconds before anything passes.
    ``answer``: the request never arrives, and ``body`` is the reply.
    """

    kind: Kind
    value: float = 0
    body: bytes = field(default=b"", repr=False)


def nth(number: int, *words: bytes, fault: Fault, times: int = 1) -> Callable[[bytes], Fault | None]:
    """A watch that gives ``fault`` to the ``number``-th request with all the words, ``times`` in a row."""
    lock = threading.Lock()
    seen = 0

    def watch(request: bytes) -> Fault | None:
        nonlocal seen
        if not all(word in request for word in words):
            return None
        with lock:
            seen += 1
            return fault if number <= seen < number + times else None

    return watch


class _Connection:
    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.fault: Fault | None = None
        self.passed = 0
        """Bytes of the reply that were passed on since the fault began."""
        self._http: bool | None = None

    def begins(self, data: bytes) -> bool:
        """Whether ``data`` is the beginning of a request; over HTTP the rest may be a body's."""
        is_http = data.startswith(METHODS)
        self._http = is_http if self._http is None else self._http
        return is_http or not self._http

    def close(self, *, reset: bool = False) -> None:
        for end in (self.client, self.server):
            with contextlib.suppress(OSError):
                if reset:
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
                end.shutdown(socket.SHUT_RD if reset else socket.SHUT_RDWR)
            end.close()


class FaultProxy:
    """Stands before ``port`` of loopback. Healthy until it is told otherwise."""

    def __init__(self, port: int) -> None:
        self._target = ("127.0.0.1", port)
        self._change = threading.Condition()
        self._line: Fault | None = None
        self._closed = False
        self._open: set[_Connection] = set()
        self.watch: Callable[[bytes], Fault | None] = lambda _: None
        self.strikes = 0
        """Exchanges that were given a fault, and connections that a fault of the line broke."""
        # Bound and never listening: it keeps the port ours while nobody listens on it.
        self._reservation = self._bound(0)
        self.port: int = self._reservation.getsockname()[1]
        self._listener: socket.socket | None = None
        self._listen()

    @property
    def endpoint(self) -> str:
        """The line as an HTTP endpoint."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def line(self) -> Fault | None:
        """The fault of every connection."""
        return self._line

    @line.setter
    def line(self, fault: Fault | None) -> None:
        refuses = fault is not None and fault.kind == "refuse"
        with self._change:
            self._line = fault
            if refuses and self._listener:
                self._deafen()
            elif not refuses and not self._listener and not self._closed:
                self._listen()
            for connection in self._open:
                connection.passed = 0
            broken = list(self._open) if refuses or (fault and fault.kind == "reset") else []
            self.strikes += len(broken)
            self._change.notify_all()
        for connection in broken:
            self._end(connection, reset=True)

    def close(self) -> None:
        """End every connection and the proxy."""
        with self._change:
            self._closed = True
            self._deafen()
            self._reservation.close()
            self._change.notify_all()
            remaining = list(self._open)
        for connection in remaining:
            self._end(connection)

    # --- connections

    def _bound(self, port: int) -> socket.socket:
        sock = socket.socket()
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", port))
        return sock

    def _listen(self) -> None:
        self._listener = self._bound(self.port)
        self._listener.listen(64)
        threading.Thread(target=self._accept, args=[self._listener], daemon=True).start()

    def _deafen(self) -> None:
        if self._listener:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)  # wakes accept
            self._listener.close()
            self._listener = None

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._serve, args=[client], daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        try:
            server = socket.create_connection(self._target, 10)
            server.settimeout(None)
        except OSError:  # nobody is there: as abrupt as the service itself would be
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RST)
            client.close()
            return
        connection = _Connection(client, server)
        with self._change:
            self._open.add(connection)
        if self._struck(connection, "reset"):
            self._end(connection, reset=True)
            return
        threading.Thread(target=self._run, args=[self._replies, connection], daemon=True).start()
        self._run(self._requests, connection)

    def _run(self, pump: Callable[[_Connection], None], connection: _Connection) -> None:
        try:
            with contextlib.suppress(OSError):
                pump(connection)
        finally:
            self._end(connection)

    def _end(self, connection: _Connection, *, reset: bool = False) -> None:
        with self._change:
            self._open.discard(connection)
        connection.close(reset=reset)

    # --- what passes

    def _requests(self, connection: _Connection) -> None:
        for data in _received(connection.client):
            if connection.begins(data):
                connection.fault, connection.passed = self.watch(data), 0
                self.strikes += connection.fault is not None
            fault = connection.fault or self._line
            if fault and fault.kind == "answer":
                _answer(connection.client, fault.body)
                return
            if self._struck(connection, "reset"):
                self._end(connection, reset=True)
                return
            if connection.fault and connection.fault.kind == "stall":
                for _ in _received(connection.client):
                    pass
                return
            self._wait_out("stall")
            self._pass(data, connection, connection.server)

    def _replies(self, connection: _Connection) -> None:
        for data in _received(connection.server):
            if data.startswith(b"HTTP/1.1 100"):
                connection.client.sendall(data)
                continue
            self._wait_out("stall")
            fault = connection.fault or self._line
            if fault and fault.kind == "mute":
                continue
            if fault and fault.kind in ("cut", "drop"):
                rest = data[: max(0, int(fault.value) - connection.passed)]
                self._pass(rest, connection, connection.client)
                connection.passed += len(rest)
                if connection.passed >= fault.value:
                    return
                continue
            self._pass(data, connection, connection.client)

    def _struck(self, connection: _Connection, kind: Kind) -> bool:
        fault = connection.fault or self._line
        return fault is not None and fault.kind == kind

    def _wait_out(self, kind: Kind) -> None:
        with self._change:
            self._change.wait_for(lambda: self._closed or not self._line or self._line.kind != kind)

    def _pass(self, data: bytes, connection: _Connection, target: socket.socket) -> None:
        fault = connection.fault or self._line
        if fault and fault.kind == "latency":
            time.sleep(fault.value)
        if not fault or fault.kind != "throttle":
            target.sendall(data)
            return
        step = max(1, int(fault.value / 20))
        for start in range(0, len(data), step):
            piece = data[start : start + step]
            target.sendall(piece)
            time.sleep(len(piece) / fault.value)


def _received(sock: socket.socket) -> Iterator[bytes]:
    while data := sock.recv(_CHUNK):
        yield data


def _answer(client: socket.socket, body: bytes) -> None:
    client.sendall(body)
    client.shutdown(socket.SHUT_WR)
    for _ in _received(client):  # closed with bytes unread, it would be reset, and the answer with it
        pass
