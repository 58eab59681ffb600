"""The storage contract, on a folder and on a real S3 server alike."""

from __future__ import annotations

import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    BucketMissing,
    ConfigurationError,
    Interrupted,
    ObjectChanged,
    ObjectExists,
    ObjectMissing,
    UploadLost,
)
from ingestctl.domain.stop import Stop
from ingestctl.pipeline.upload import put_file
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.open import open_storage
from ingestctl.storage.probe import PREFIX
from ingestctl.storage.s3_client import S3Options

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
from tests.contracts.storage_world import MIB, Case


def test_what_is_published_is_what_is_read(case: Case) -> None:
    data = bytes(range(256)) * 100
    session = case.storage.begin(UploadRequest(case.ref(), "video/webm", {"run-id": "r1"}))
    session.append(data[:1000])
    session.append(b"")
    session.append(data[1000:])
    assert session.size_bytes == len(data)
    assert case.storage.stat(case.ref()) is None, "nothing is visible before publish"
    assert case.unfinished() == [case.ref().key]

    info = session.publish()

    assert (info.ref, info.size_bytes, info.content_type) == (case.ref(), len(data), "video/webm")
    assert info.metadata == {"run-id": "r1"}
    assert case.again().stat(case.ref()) == info
    assert session.publish() == info, "publishing again is a no-op"
    assert case.bytes_of(case.ref().key) == data
    assert case.unfinished() == []
    session.abort()
    assert case.bytes_of(case.ref().key) == data, "abort after publish removes nothing"


def test_several_parts_arrive_in_order(case: Case) -> None:
    blocks = [bytes([n]) * (7 * MIB + n) for n in range(7)]  # parts are 8 MiB: boundaries fall inside
    session = case.storage.begin(UploadRequest(case.ref(), "video/mp4"))
    for block in blocks:
        session.append(block)
    assert session.publish().size_bytes == sum(map(len, blocks))
    assert case.bytes_of(case.ref().key) == b"".join(blocks)


def test_an_empty_object(case: Case) -> None:
    info = case.storage.begin(UploadRequest(case.ref(), "text/plain")).publish()
    assert info.size_bytes == 0
    assert case.bytes_of(case.ref().key) == b""
    assert case.storage.copy(info, UploadRequest(case.ref("copy"), "text/plain")).size_bytes == 0


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        (0, None, "0123456789"),
        (3, 4, "3456"),
        (8, 100, "89"),
        (0, 0, ""),
        (10, None, ""),
        (99, 5, ""),
        (9, 1, "9"),
    ],
)
def test_ranged_reads(case: Case, start: int, length: int | None, expected: str) -> None:
    case.put("k", b"0123456789")
    assert case.bytes_of("k", start=start, length=length) == expected.encode()


def test_reads_are_conditional(case: Case) -> None:
    info = case.put("k", b"one")
    assert case.bytes_of("k", if_match=info.etag) == b"one"
    with pytest.raises(ObjectChanged):
        case.bytes_of("k", if_match="0" * 32)
    with pytest.raises(ObjectMissing):
        case.bytes_of("other")


def test_reading_stops_early_without_harm(case: Case) -> None:
    case.put("k", b"x" * (5 * MIB))
    for _ in range(15):  # more than the connection pool holds
        with case.storage.read(case.ref("k")) as chunks:
            assert 0 < len(next(chunks)) <= MIB


def test_a_second_publish_is_refused_and_the_first_stays(case: Case) -> None:
    first = case.put("k", b"first")
    session = case.storage.begin(UploadRequest(case.ref("k"), "video/mp4"))
    session.append(b"second")
    with pytest.raises(ObjectExists):
        session.publish()
    assert case.bytes_of("k") == b"first"
    assert case.storage.stat(case.ref("k")) == first
    assert case.unfinished() == [], "the loser leaves no upload behind"


def test_one_of_eight_racing_writers_wins(case: Case) -> None:
    for round_number in range(3):
        key = f"race/{round_number}"
        barrier = threading.Barrier(8)

        def write(name: int, key: str = key, barrier: threading.Barrier = barrier) -> int | None:
            session = case.storage.begin(UploadRequest(case.ref(key), "video/mp4"))
            session.append(b"%d" % name * 1000)
            barrier.wait()
            try:
                session.publish()
            except ObjectExists:
                return None
            return name

        with ThreadPoolExecutor(8) as pool:
            winners = [name for name in pool.map(write, range(8)) if name is not None]
        assert len(winners) == 1
        assert case.bytes_of(key) == b"%d" % winners[0] * 1000
        assert case.unfinished() == []


def test_a_zombie_cannot_publish_after_a_takeover(case: Case) -> None:
    zombie = case.storage.begin(UploadRequest(case.ref(), "video/mp4"))
    zombie.append(b"old" * 1000)
    successor = case.again()
    [upload] = successor.unfinished(case.bucket, "videos/")
    assert upload.upload_id == zombie.upload_id
    assert successor.abort(upload) is True
    successor.abort(upload)  # again is harmless (a server may say that it did it)
    assert successor.abort(replace(upload, upload_id="0" * 32)) is False

    with pytest.raises(UploadLost):  # noqa: PT012 - either call may notice
        zombie.append(b"more")
        zombie.publish()
    assert case.storage.stat(case.ref()) is None
    assert case.unfinished() == []
    zombie.abort()

    late = case.storage.begin(UploadRequest(case.ref(), "video/mp4"))
    late.append(b"x" * (20 * MIB))
    for left in successor.unfinished(case.bucket):
        successor.abort(left)
    assert case.put(case.ref().key, b"new").size_bytes == 3
    with pytest.raises((UploadLost, ObjectExists)):
        late.publish()
    assert case.bytes_of(case.ref().key) == b"new"


def test_abort_is_idempotent_and_final(case: Case) -> None:
    session = case.storage.begin(UploadRequest(case.ref(), "video/mp4"))
    session.append(b"x" * (20 * MIB))
    session.abort()
    session.abort()
    for use in (lambda: session.append(b"x"), session.publish):
        with pytest.raises(UploadLost):
            use()
    assert case.unfinished() == []
    assert case.storage.stat(case.ref()) is None


def test_abort_from_another_thread_stops_an_append(case: Case) -> None:
    session = case.storage.begin(UploadRequest(case.ref(), "video/mp4"))
    started = threading.Event()

    def append() -> None:
        while True:
            session.append(b"x" * MIB)
            started.set()

    with ThreadPoolExecutor(1) as pool:
        appending = pool.submit(append)
        started.wait(10)
        session.abort()
        with pytest.raises(UploadLost):
            appending.result(20)
    assert case.storage.stat(case.ref()) is None
    assert case.unfinished() == []


def test_copy_is_whole_create_once_and_conditional(case: Case) -> None:
    source = case.put("from", b"abc" * 1000, {"a": "source"})
    copied = case.storage.copy(source, UploadRequest(case.ref("to"), "audio/wav", {"b": "target"}))
    assert (copied.size_bytes, copied.content_type, copied.metadata) == (3000, "audio/wav", {"b": "target"})
    assert case.bytes_of("to") == b"abc" * 1000

    with pytest.raises(ObjectExists):
        case.storage.copy(source, UploadRequest(case.ref("to"), "audio/wav"))
    with pytest.raises(ObjectChanged):
        case.storage.copy(replace(source, etag="0" * 32), UploadRequest(case.ref("new"), "audio/wav"))
    gone = replace(source, ref=case.ref("nowhere"))
    with pytest.raises(ObjectMissing):
        case.storage.copy(gone, UploadRequest(case.ref("new"), "audio/wav"))
    assert case.bytes_of("to") == case.bytes_of("from") == b"abc" * 1000
    assert case.storage.stat(case.ref("new")) is None
    assert case.unfinished() == []


def test_a_copy_is_the_whole_of_its_session(case: Case) -> None:
    source = case.put("from", b"abc")
    session = case.storage.begin(UploadRequest(case.ref("to"), "video/mp4"))
    session.append_copy(source)
    with pytest.raises(ValueError, match="append_copy"):
        session.append(b"x")
    with pytest.raises(ValueError, match="first"):
        session.append_copy(source)
    session.abort()


def test_delete_takes_only_the_object_that_was_looked_at(case: Case) -> None:
    info = case.put("k", b"one")
    with pytest.raises(ObjectChanged):
        case.storage.delete(case.ref("k"), if_match="0" * 32)
    assert case.bytes_of("k") == b"one"
    assert case.storage.delete(case.ref("k"), if_match=info.etag) is True
    assert case.storage.stat(case.ref("k")) is None
    assert case.storage.delete(case.ref("k"), if_match=info.etag) is False

    second = case.put("k", b"two")
    with pytest.raises(ObjectChanged):
        case.storage.delete(case.ref("k"), if_match=info.etag)
    assert case.bytes_of("k") == b"two"
    assert second.etag != info.etag
    assert case.unfinished() == []


def test_a_missing_bucket_is_said_everywhere(case: Case) -> None:
    nowhere = ObjectRef("no-such-bucket", "k")
    info = replace(case.put("k", b"x"), ref=nowhere)
    storage = case.storage
    calls: list[Callable[[], object]] = [
        lambda: storage.begin(UploadRequest(nowhere, "x/y")),
        lambda: storage.stat(nowhere),
        lambda: storage.read(nowhere).__enter__(),
        lambda: storage.delete(nowhere, if_match="x"),
        lambda: list(storage.list_objects("no-such-bucket")),
        lambda: list(storage.unfinished("no-such-bucket")),
        lambda: storage.copy(info, UploadRequest(case.ref("to"), "x/y")),
    ]
    for call in calls:
        with pytest.raises(BucketMissing):
            call()
    [finding] = storage.check("no-such-bucket")
    assert (finding.id, finding.ok) == ("bucket", False)
    assert "init" in finding.hint


def test_buckets_are_made_once(case: Case) -> None:
    name = f"made-{case.bucket}"
    assert case.storage.ensure_bucket(name) is True
    assert case.storage.ensure_bucket(name) is False
    assert list(case.storage.list_objects(name)) == []


def test_check_finds_a_good_bucket_good_and_leaves_nothing(case: Case) -> None:
    findings = case.storage.check(case.bucket)
    assert {f.id for f in findings} >= {"bucket", "write-read-delete", "conditional-create"}
    assert all(f.ok for f in findings)
    assert list(case.storage.list_objects(case.bucket)) == []
    assert case.unfinished() == []


def test_check_removes_what_killed_checks_have_left(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.put(f"{PREFIX}dead", b"probe")
    case.put("videos/not-a-probe.mp4", b"probe")
    case.storage.begin(UploadRequest(case.ref(f"{PREFIX}dying"), "x/y")).append(b"probe")
    case.storage.check(case.bucket)  # they are young: a check may be at them
    assert len(list(case.storage.list_objects(case.bucket))) == 2
    assert case.unfinished() == [f"{PREFIX}dying"]
    monkeypatch.setattr("ingestctl.storage.probe.STALE", timedelta(seconds=-60))
    assert all(f.ok for f in case.storage.check(case.bucket))
    assert [i.ref.key for i in case.storage.list_objects(case.bucket)] == ["videos/not-a-probe.mp4"]
    assert case.unfinished() == []


def test_a_presigned_url_reads_the_object_with_a_plain_client(case: Case) -> None:
    case.put("a b/ü%.mp4", b"presigned")
    url = case.storage.presign(case.ref("a b/ü%.mp4"), expires_s=60)
    with urllib.request.urlopen(url, timeout=10) as reply:
        assert reply.read() == b"presigned"


def test_put_file_streams_reports_and_stops(case: Case, tmp_path: Path) -> None:
    path = tmp_path / "source.bin"
    path.write_bytes(b"ab" * (2 * MIB))
    seen: list[int] = []
    request = UploadRequest(case.ref("f"), "x/y")
    info = put_file(case.storage, request, path, Stop(), lambda done, _: seen.append(done))
    assert info.size_bytes == seen[-1] == 4 * MIB
    assert seen == sorted(seen)

    stop = Stop()
    request = UploadRequest(case.ref("g"), "x/y")
    with pytest.raises(Interrupted):
        put_file(case.storage, request, path, stop, lambda *_: stop.ask(Interrupted("stop")))
    assert case.storage.stat(case.ref("g")) is None
    assert case.unfinished() == []


def test_close_is_idempotent(case: Case) -> None:
    storage = case.again()
    storage.stat(case.ref())
    storage.close()
    storage.close()


def test_open_storage_reads_urls(tmp_path: Path) -> None:
    folder = open_storage(f"{tmp_path.as_uri()}/with%20space", s3=S3Options())
    assert (folder.provider, folder.url) == ("filesystem", f"{tmp_path.as_uri()}/with%20space")
    assert open_storage("s3://", s3=S3Options()).provider == "s3"
    private = S3Options("http://user:pw@minio:9000", secret_key="s3cret")
    assert open_storage("s3://", s3=private).provider == "minio"
    assert "pw" not in open_storage("s3://", s3=private).url
    assert "s3cret" not in repr(private)
    for url in ("", "file:relative", "file://host/x", "s3://bucket", "ftp://x", "/plain/path"):
        with pytest.raises(ConfigurationError, match=url or "''"):
            open_storage(url, s3=S3Options())
