"""Ways to hold a run in each phase: a slow link to the store, and an ffmpeg that reads in real time."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING

from ingestctl.media.tools import find_tools

if TYPE_CHECKING:
    from pathlib import Path


class Link:
    """A TCP link to the store. ``hold`` decides what becomes of requests that publish (``If-None-Match``).

    ``before``: the request is kept and never reaches the store. ``after``: it does, and its reply is kept.
    """

    def __init__(self, endpoint: str) -> None:
        host, port = endpoint.removeprefix("http://").split(":")
        self._target = (host, int(port))
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.hold: str | None = None
        self.held = threading.Event()
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(self._target)
                self._open += [client, server]
                muted = threading.Event()
                threading.Thread(target=self._requests, args=(client, server, muted), daemon=True).start()
                threading.Thread(target=self._replies, args=(server, client, muted), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65536):
                if self.hold and b"if-none-match" in data.lower():
                    self.held.set()
                    if self.hold == "before":
                        while client.recv(65536):
                            pass
                        break
                    muted.set()
                server.sendall(data)
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_WR)

    def _replies(self, server: socket.socket, client: socket.socket, muted: threading.Event) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65536):
                if not muted.is_set() or data.startswith(b"HTTP/1.1 100"):
                    client.sendall(data)
            if not muted.is_set():
                client.shutdown(socket.SHUT_RDWR)


def real_time_ffmpeg(folder: Path) -> Path:
    """A folder whose ffmpeg reads its input no faster than it plays: an extraction that takes a while."""
    tools = find_tools()
    folder.mkdir(exist_ok=True)
    (folder / "ffprobe").symlink_to(tools.ffprobe)
    program = folder / "ffmpeg"
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *pcm_s16le*) set -- -re "$@";; esac\nexec {tools.ffmpeg} "$@"\n'
    )
    program.chmod(0o755)
    return folder
