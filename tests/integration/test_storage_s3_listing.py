"""Listings as this program parses them: what botocore reads, and nothing where a server garbles them."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import boto3
import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import StorageUnavailable
from tests.integration.test_storage_s3_faults import put, storage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.services.s3 import S3Server

ODD = ("a b", "a+b", "a%20b", "a&b<c>", "ü/é", "日本", "quo'te\"s", "x" * 200, "plain.mp4")
NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
ENTRY = (
    "<Contents><Key>k</Key><LastModified>2026-01-02T03:04:05.678Z</LastModified>"
    "<ETag>&quot;e&quot;</ETag><Size>7</Size></Contents>"
)


def page(entries: str, before: str = "") -> str:
    return f'<ListBucketResult xmlns="{NAMESPACE}">{before}{entries}</ListBucketResult>'


@pytest.fixture
def answer(s3_server: S3Server) -> Iterator[Callable[[str], list[tuple[str, int, str, str]]]]:
    """What is listed of a server that answers every request with this text."""
    body = [b""]

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body[0])))
            self.end_headers()
            self.wfile.write(body[0])

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()

    def ask(text: str) -> list[tuple[str, int, str, str]]:
        body[0] = text.encode()
        storage = storage_of(s3_server, endpoint_url=f"http://127.0.0.1:{server.server_port}", max_attempts=1)
        found = storage.list_objects("bucket")
        return [(i.ref.key, i.size_bytes, i.etag, i.modified_at.isoformat()) for i in found]

    yield ask
    server.shutdown()
    server.server_close()


def test_a_listing_is_what_botocore_reads(s3_server: S3Server, s3_bucket: str) -> None:
    storage = storage_of(s3_server)
    for key in ODD:
        put(storage, ObjectRef(s3_bucket, key), key.encode())
    client = boto3.client(
        "s3",
        endpoint_url=s3_server.endpoint,
        region_name="us-east-1",
        aws_access_key_id=s3_server.access,
        aws_secret_access_key=s3_server.secret,
    )
    plain = [
        (entry["Key"], entry["Size"], entry["ETag"].strip('"'), entry["LastModified"])
        for entry in client.list_objects_v2(Bucket=s3_bucket)["Contents"]
    ]
    ours = [(i.ref.key, i.size_bytes, i.etag, i.modified_at) for i in storage.list_objects(s3_bucket)]
    assert sorted(key for key, *_ in ours) == sorted(ODD)
    assert ours == plain


def test_servers_of_other_makes(answer: Callable[[str], list[tuple[str, int, str, str]]]) -> None:
    expected = ("k", 7, "e", "2026-01-02T03:04:05.678000+00:00")
    assert answer(page(ENTRY)) == [expected]
    assert answer(page(ENTRY).replace(f' xmlns="{NAMESPACE}"', "")) == [expected]
    encoded = page(ENTRY.replace(">k<", ">a%2Bb+c%25<"), "<EncodingType>url</EncodingType>")
    assert answer(encoded)[0][0] == "a+b c%"
    assert answer(page(ENTRY.replace(">k<", ">a%2Bb<")))[0][0] == "a%2Bb", "not encoded, says the server"
    other_time = ENTRY.replace("2026-01-02T03:04:05.678Z", "Fri, 02 Jan 2026 03:04:05 GMT")
    assert answer(page(other_time))[0][3] == "2026-01-02T03:04:05+00:00"
    assert answer(page("")) == []


@pytest.mark.parametrize(
    "text",
    {
        "a login page": "<html><body>Sign in</body></html>",
        "nothing": "",
        "no XML": "OK",
        "a page that is cut": page(ENTRY)[:-30],
        "no size": page(ENTRY.replace("<Size>7</Size>", "")),
        "an empty ETag": page(ENTRY.replace("&quot;e&quot;", "")),
        "a size in words": page(ENTRY.replace(">7<", ">seven<")),
        "a time that is none": page(ENTRY.replace("2026-01-02T03:04:05.678Z", "yesterday")),
    }.values(),
)
def test_what_is_no_listing_is_never_an_empty_one(
    answer: Callable[[str], list[tuple[str, int, str, str]]], text: str
) -> None:
    with pytest.raises(StorageUnavailable):
        answer(text)
