"""A source that means ill: redirects anywhere, bodies without end, bytes that grow when they are unpacked."""

from __future__ import annotations

import contextlib
import threading
import time
import zlib
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

import brotli

if TYPE_CHECKING:
    from pathlib import Path

_BOMB = 64 << 20
"""What a few kilobytes unpack to."""


@cache
def _gzipped() -> bytes:
    page = b"<html>" + bytes([32]) * (1 << 20)
    packer = zlib.compressobj(6, wbits=31)
    return b"".join(packer.compress(page) for _ in range(_BOMB >> 20)) + packer.flush()


@cache
def _brotlied() -> bytes:
    packer = brotli.Compressor(quality=1)
    return b"".join(packer.process(bytes(1 << 20)) for _ in range(_BOMB >> 20)) + bytes(packer.finish())


class HostileServer:
    """Serves ``root``, and the tricks of _Handler; only on ``host``."""

    def __init__(self, root: Path, host: str = "127.0.0.1") -> None:
        self.root = root
        self.over = threading.Event()
        self.asked: list[str] = []
        self.sent = 0
        handler = type("Handler", (_Handler,), {"source": self})
        self._server = _Server((host, 0), handler)
        self.port = int(self._server.server_address[1])
        self.base = f"http://{host}:{self.port}"
        threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True
        ).start()

    def close(self) -> None:
        self.over.set()
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, *args: Any) -> None:
        """Clients that hang up are the point."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    source: HostileServer

    def log_message(self, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        self.source.asked.append(self.path)
        self.wanted = {key: values[0] for key, values in parse_qs(parts.query).items()}
        name = parts.path.rsplit("/", 1)[-1]
        trick = getattr(self, f"trick_{self.wanted.get('trick', 'file')}")
        with contextlib.suppress(ConnectionError, TimeoutError):
            trick(unquote(name))

    do_HEAD = do_GET

    def _start(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def _send(self, data: bytes) -> None:
        self.wfile.write(data)
        self.source.sent += len(data)

    def trick_file(self, name: str) -> None:
        path = self.source.root / name
        if not path.is_file():
            self._start(404, Content_Length="0")
            return
        body = path.read_bytes()
        kind = "application/vnd.apple.mpegurl" if name.endswith("m3u8") else "video/mp4"
        kind = "application/dash+xml" if name.endswith("mpd") else kind
        self._start(200, Content_Type=kind, Content_Length=str(len(body)))
        self._send(body)

    def trick_redirect(self, _: str) -> None:
        """``to`` is where; ``after`` how many good answers come first."""
        seen = sum(path == self.path for path in self.source.asked)
        if seen <= int(self.wanted.get("after", "0")):
            self.trick_file("v.mp4")
        else:
            self._start(int(self.wanted.get("code", "302")), Location=self.wanted["to"], Content_Length="0")

    def trick_refresh(self, _: str) -> None:
        page = f'<html><meta http-equiv="refresh" content="0; url={self.wanted["to"]}"></html>'.encode()
        self._start(
            200,
            Content_Type="text/html",
            Refresh=f"0; url={self.wanted['to']}",
            Content_Length=str(len(page)),
        )
        self._send(page)

    def trick_loop(self, _: str) -> None:
        self._start(302, Location=self.path, Content_Length="0")

    def trick_chain(self, name: str) -> None:
        left = int(self.wanted["left"]) - 1
        to = f"{self.source.base}/{name}?trick=chain&left={left}" if left else f"{self.source.base}/{name}"
        self._start(302, Location=to, Content_Length="0")

    def trick_endless(self, _: str) -> None:
        self._start(200, Content_Type="video/mp4")
        self._send((self.source.root / "v.mp4").read_bytes())
        while not self.source.over.is_set():
            self._send(bytes(1 << 16))

    def trick_endlessheader(self, _: str) -> None:
        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
        while not self.source.over.is_set():
            self._send(b"X-Filler: " + b"x" * 1000 + b"\r\n")

    def trick_drip(self, _: str) -> None:
        self._start(200, Content_Type="video/mp4", Content_Length="100000")
        self._slowly((self.source.root / "v.mp4").read_bytes())

    def trick_dripheader(self, _: str) -> None:
        self._slowly(b"HTTP/1.1 200 OK\r\nX-Filler: " + b"x" * 10_000)

    def _slowly(self, data: bytes) -> None:
        for at in range(len(data)):
            if self.source.over.is_set():
                return
            self.wfile.write(data[at : at + 1])
            self.wfile.flush()
            time.sleep(0.1)

    def trick_silent(self, _: str) -> None:
        self.source.over.wait(60)

    def trick_gzip(self, _: str) -> None:
        self._packed(_gzipped(), "gzip", "video/mp4")

    def trick_br(self, _: str) -> None:
        self._packed(_brotlied(), "br", "video/mp4")

    def trick_packedpage(self, _: str) -> None:
        self._packed(_gzipped(), "gzip", "text/html")

    def _packed(self, body: bytes, encoding: str, kind: str) -> None:
        self._start(200, Content_Type=kind, Content_Encoding=encoding, Content_Length=str(len(body)))
        self._send(body)

    def trick_page(self, _: str) -> None:
        self._start(200, Content_Type="text/html")
        while not self.source.over.is_set():
            self._send(b"<html>" + b" " * (1 << 16))

    def trick_short(self, name: str) -> None:
        body = (self.source.root / name).read_bytes()
        self._start(200, Content_Type="video/mp4", Content_Length=str(len(body) * 3))
        self._send(body)

    def trick_long(self, name: str) -> None:
        body = (self.source.root / name).read_bytes()
        self._start(200, Content_Type="video/mp4", Content_Length=str(len(body) // 2))
        self._send(body)

    def trick_nonsense(self, name: str) -> None:
        self._start(200, Content_Type="video/mp4", Content_Length="-5")
        self._send((self.source.root / name).read_bytes())

    def trick_claim(self, _: str) -> None:
        self._start(200, Content_Type="video/mp4", Content_Length=str(1 << 50))
        self._send((self.source.root / "v.mp4").read_bytes())
