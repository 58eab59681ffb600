"""A real HTTP source on loopback: serves a folder, and fails in every way a source can.

    /files/PATH            the file, with ranges
    /FAULT/files/PATH      the same file behind one of FAULTS (see Handler.faulty)
    /FAULT@2/files/PATH    the first request is served well, the fault begins with the second

yt-dlp asks for a direct link twice (once to look, once to download), so ``@2`` is a fault during the
download. Run outside pytest: ``python -m tests.services.source --root DIR`` prints one JSON line.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import mimetypes
import re
import socket
import struct
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from tests.media_samples import Samples, samples_in

_TYPES = {
    ".mpd": "application/dash+xml",
    ".m3u8": "application/vnd.apple.mpegurl",
    ".m4s": "video/iso.segment",
}
_TYPES |= {".ts": "video/mp2t", ".mkv": "video/x-matroska", ".webm": "video/webm", ".m4a": "audio/mp4"}
_HTML = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"


@dataclass
class SourceServer:
    """A running source server: where it is, what was asked of it, and what it does to some paths."""

    root: Path
    server: ThreadingHTTPServer
    requests: list[tuple[str, str, str | None]] = field(default_factory=list)
    rules: dict[str, str] = field(default_factory=dict)
    """Path suffix -> fault, for segments of a playlist: ``{"s02.ts": "404"}``."""
    served: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    released: threading.Event = field(default_factory=threading.Event)

    @property
    def port(self) -> int:
        return int(self.server.server_address[1])

    def url(self, path: str, *, fault: str | None = None, host: str = "127.0.0.1") -> str:
        """The URL of a file below the root, behind a fault if one is named."""
        return f"http://{host}:{self.port}/{f'{fault}/' if fault else ''}files/{path}"

    def count(self, needle: str = "") -> int:
        """How many requests had ``needle`` in their path."""
        with self.lock:
            return sum(needle in path for _, path, _ in self.requests)

    def reset(self) -> None:
        """Forget what was asked, and every rule."""
        with self.lock:
            self.requests.clear()
            self.rules.clear()
            self.served = 0

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source: SourceServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        with self.source.lock:
            nth = sum(p == path for _, p, _ in self.source.requests) + 1
            self.source.requests.append((self.command, path, self.headers.get("Range")))
        found = re.fullmatch(r"/(?:([^/]+)/)?files/(.+)", path)
        if not found:
            self._reply(404, b"no such route")
            return
        fault, name = found.groups()
        fault = next((f for suffix, f in self.source.rules.items() if path.endswith(suffix)), fault)
        if fault:
            fault, _, begin = fault.partition("@")
            if nth < int(begin or 1):
                fault = None
        file = self.source.root / name
        if not file.is_file() or not file.resolve().is_relative_to(self.source.root.resolve()):
            self._reply(404, b"no such file")
            return
        with contextlib.suppress(ConnectionError, TimeoutError):
            if fault:
                self.faulty(fault, file, nth)
            else:
                self._file(file)

    def faulty(self, fault: str, file: Path, nth: int) -> None:
        kind, _, value = fault.partition("=")
        body = file.read_bytes()
        if kind.isdigit():
            extra = {"Retry-After": value} if value else {}
            self._reply(int(kind), b"fault", extra=extra)
        elif kind == "reset":
            self._start(200, len(body))
            self.wfile.write(body[: len(body) // 3])
            self._abort()
        elif kind == "resetnow":
            self._abort()
        elif kind == "stall":
            self._start(200, len(body))
            self.wfile.write(body[: len(body) // 3])
            self.wfile.flush()
            self.source.released.wait(60)
        elif kind == "stallheaders":
            self.source.released.wait(60)
        elif kind == "trunc":
            self._start(200, len(body))
            self.wfile.write(body[: len(body) // 3])
            self.close_connection = True
        elif kind == "nolength":
            self._start(200, None)
            self.wfile.write(body[: len(body) * 6 // 10])
            self.close_connection = True
        elif kind == "slow":
            self._file(file, rate=int(value or 100_000))
        elif kind == "noranges":
            self._drop_once(body, nth) if value == "drop" else self._whole(body)
        elif kind == "droponce":
            # The look and the first download are cut; the resumed request is served.
            self._drop_once(body, nth) if nth == 2 else self._file(file)
        else:
            self._page(kind, value)

    def _page(self, kind: str, value: str) -> None:
        if kind == "html":
            self._reply(200, _HTML, "text/html")
        elif kind == "htmlasmp4":
            self._reply(200, _HTML, "video/mp4")
        elif kind == "empty":
            self._reply(200, b"", "video/mp4")
        elif kind == "loop":
            self._reply(302, b"", extra={"Location": self.path})
        elif kind == "redirect":  # redirect=HOST: the same file at another host, same port
            name = self.path.partition("/files/")[2]
            self._reply(302, b"", extra={"Location": self.source.url(name, host=value or "127.0.0.1")})
        elif kind == "redirectfile":
            self._reply(302, b"", extra={"Location": "file:///etc/hostname"})
        else:
            self._reply(500, f"unknown fault {kind}".encode())

    def _drop_once(self, body: bytes, nth: int) -> None:
        self._start(200, len(body))
        if nth != 2:
            self.wfile.write(body)
            return
        self.wfile.write(body[: len(body) // 2])
        self.close_connection = True

    def _whole(self, body: bytes) -> None:
        self._start(200, len(body))
        self.wfile.write(body)

    def _abort(self) -> None:
        self.wfile.flush()
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def _file(self, file: Path, rate: int | None = None) -> None:
        size = file.stat().st_size
        start, end, status = 0, size, 200
        found = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if found:
            start, end, status = int(found[1]), min(size, int(found[2] or size - 1) + 1), 206
            if start >= size:
                self._reply(416, b"", extra={"Content-Range": f"bytes */{size}"})
                return
        extra = {"Accept-Ranges": "bytes"}
        if status == 206:
            extra["Content-Range"] = f"bytes {start}-{end - 1}/{size}"
        self._start(status, end - start, self._type(file), extra)
        if self.command == "HEAD":
            return
        step = 1 << 16 if rate is None else max(1024, rate // 20)
        with file.open("rb") as stream:
            stream.seek(start)
            while start < end and (data := stream.read(min(step, end - start))):
                self.wfile.write(data)
                start += len(data)
                with self.source.lock:
                    self.source.served += len(data)
                if rate is not None:
                    time.sleep(len(data) / rate)

    @staticmethod
    def _type(file: Path) -> str:
        return _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0] or "application/octet-stream"

    def _start(
        self, status: int, length: int | None, kind: str = "video/mp4", extra: dict[str, str] | None = None
    ) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        if length is None:
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(length))
        for name, value in (extra or {}).items():
            self.send_header(name, value)
        self.end_headers()

    def _reply(
        self, status: int, body: bytes, kind: str = "text/plain", extra: dict[str, str] | None = None
    ) -> None:
        with contextlib.suppress(ConnectionError):
            self._start(status, len(body), kind, extra)
            if self.command != "HEAD":
                self.wfile.write(body)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: Any) -> None:
        """Clients that hang up are the point of these tests."""


def start(root: Path, host: str = "0.0.0.0", port: int = 0) -> SourceServer:
    """Start serving ``root`` in a thread; the caller closes it."""
    handler = type("Handler", (_Handler,), {})
    server = _Server((host, port), handler)
    source = SourceServer(root, server)
    handler.source = source  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    return source


@pytest.fixture(scope="session")
def _source_server(tmp_path_factory: pytest.TempPathFactory) -> Any:
    server = start(tmp_path_factory.mktemp("source"))
    yield server
    server.close()


@pytest.fixture
def source_server(_source_server: SourceServer) -> SourceServer:
    """A source with nothing asked of it yet; put files below ``source_server.root``."""
    _source_server.reset()
    return _source_server


@pytest.fixture(scope="session")
def samples(_source_server: SourceServer) -> Samples:
    """Small media files in the source server's root: each has a URL by its name."""
    return samples_in(_source_server.root)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    args = parser.parse_args()
    source = start(args.root, args.host, args.port)
    print(json.dumps({"url": f"http://127.0.0.1:{source.port}", "port": source.port}), flush=True)
    with contextlib.suppress(KeyboardInterrupt):
        threading.Event().wait()
    source.close()


if __name__ == "__main__":
    main()
