"""A fast S3 server that only lists: N objects that do not exist, served from arithmetic.

`python -m tests.services.listing N [BUCKET=SUFFIX …]` prints ``{"endpoint": …}`` and serves until it is
told to stop; ``GET /counts`` tells how many requests of each kind there were.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

PAGE = 1000
ETAG = "d41d8cd98f00b204e9800998ecf8427e"
SIZE = 12345
BUCKETS = {"raw-videos": "source.mp4", "audio-tracks": "audio.wav"}
_ENTRY = (
    "<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;{etag}&quot;</ETag><Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


def key_of(number: int, suffix: str) -> str:
    return f"videos/v{number:08d}/{suffix}"


class Handler(BaseHTTPRequestHandler):
    """``total`` objects a bucket; ``counts`` of the requests seen."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    total = 0
    counts: ClassVar[Counter[str]] = Counter()

    def do_GET(self) -> None:
        address = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(address.query, keep_blank_values=True).items()}
        bucket = address.path.strip("/").split("/")[0]
        if bucket == "counts":
            self._answer(json.dumps(self.counts).encode(), "application/json")
        elif "uploads" in query:
            self.counts["uploads"] += 1
            self._answer(b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        elif query.get("list-type") == "2" and query.get("prefix"):
            self.counts["probe"] += 1
            self._answer(b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>")
        elif query.get("list-type") == "2" or "delimiter" in query or not query:
            self.counts["list"] += 1
            self._answer(self._page(BUCKETS.get(bucket, "x"), int(query.get("continuation-token", "0"))))
        else:
            self.counts["other"] += 1
            self._answer(b"<x></x>")

    def do_HEAD(self) -> None:
        self.counts["head"] += 1
        self.send_response(200)
        self.send_header("ETag", f'"{ETAG}"')
        self.send_header("Last-Modified", "Thu, 01 Jan 2026 00:00:00 GMT")
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()

    def _page(self, suffix: str, start: int) -> bytes:
        end = min(start + PAGE, self.total)
        entries = "".join(
            _ENTRY.format(key=key_of(n, suffix), etag=ETAG, size=SIZE) for n in range(start, end)
        )
        more = end < self.total
        token = f"<NextContinuationToken>{end}</NextContinuationToken>" if more else ""
        return (
            f"<ListBucketResult><IsTruncated>{'true' if more else 'false'}</IsTruncated>"
            f"<KeyCount>{end - start}</KeyCount>{token}{entries}</ListBucketResult>"
        ).encode()

    def _answer(self, body: bytes, content_type: str = "application/xml") -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


def main() -> None:
    Handler.total = int(sys.argv[1])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    print(json.dumps({"endpoint": f"http://127.0.0.1:{server.server_address[1]}"}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
