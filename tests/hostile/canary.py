"""Canaries: files and ports that nothing may touch. The kernel tells when one was (inotify)."""

from __future__ import annotations

import contextlib
import ctypes
import os
import selectors
import socket
import struct
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

_IN_OPEN = 0x20
_EVENT = struct.Struct("iIII")
_LIBC = ctypes.CDLL(None, use_errno=True)


class FileCanaries:
    """Says which files of a folder were opened since it was last asked."""

    def __init__(self, folder: Path) -> None:
        self.descriptor = _LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        watch = _LIBC.inotify_add_watch(self.descriptor, os.fsencode(folder), _IN_OPEN)
        assert self.descriptor >= 0, "no inotify"
        assert watch >= 0, "no inotify"

    def opened(self) -> set[str]:
        names = set()
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.descriptor, 1 << 16):
                at = 0
                while at < len(data):
                    *_, length = _EVENT.unpack_from(data, at)
                    at += _EVENT.size
                    names.add(os.fsdecode(data[at : at + length].rstrip(b"\0")))
                    at += length
        return names - {""}

    def close(self) -> None:
        os.close(self.descriptor)


class PortCanary:
    """Listens on one port of ``host``, TCP and UDP, and counts who comes; answers nothing."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.came = 0
        self._tcp, self._udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
        self._tcp.bind((host, 0))
        self._tcp.listen(64)
        self.port = int(self._tcp.getsockname()[1])
        self._udp.bind((host, self.port))
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._count, daemon=True)
        self._thread.start()

    def _count(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._tcp, selectors.EVENT_READ)
            selector.register(self._udp, selectors.EVENT_READ)
            while not self._over.is_set():
                for key, _ in selector.select(0.1):
                    if key.fileobj is self._tcp:
                        self._tcp.accept()[0].close()
                    else:
                        self._udp.recv(2000)
                    self.came += 1

    def close(self) -> None:
        self._over.set()
        self._thread.join(5)
        self._tcp.close()
        self._udp.close()
