"""S3 that refuses, is down, or breaks off in mid-sentence: each the right error, in time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    BucketMissing,
    ConfigurationError,
    ObjectChanged,
    ObjectExists,
    StorageRefused,
    StorageUnavailable,
    UploadLost,
)
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
from tests.services.fault_proxy import Fault, FaultProxy, nth

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ingestctl.storage.base import ObjectInfo
    from tests.services.fault_proxy import Kind
    from tests.services.s3 import S3Server

MIB = 1024 * 1024


@pytest.fixture
def proxy(s3_server: S3Server) -> Iterator[FaultProxy]:
    made = FaultProxy(s3_server.port)
    yield made
    made.close()


def storage_of(server: S3Server, **changes: Any) -> S3Storage:
    options = {
        "endpoint_url": server.endpoint,
        "access_key": server.access,
        "secret_key": server.secret,
        "max_attempts": 2,
        "read_timeout_s": 2.0,
        "connect_timeout_s": 2.0,
    }
    return S3Storage(S3Options(**{**options, **changes}))


def put(storage: S3Storage, ref: ObjectRef, data: bytes = b"data") -> ObjectInfo:
    session = storage.begin(UploadRequest(ref, "video/mp4"))
    session.append(data)
    return session.publish()


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"access_key": "nobody"}, "InvalidAccessKeyId"),
        ({"secret_key": "s3cret-wrong"}, "SignatureDoesNotMatch"),
    ],
)
def test_wrong_credentials_are_refused(
    s3_server: S3Server, s3_bucket: str, changes: dict[str, str], code: str
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    put(storage_of(s3_server), ref)
    storage = storage_of(s3_server, **changes)
    calls: list[Callable[[], object]] = [
        lambda: storage.stat(ref),  # HEAD: a bare 403, explained all the same
        lambda: storage.begin(UploadRequest(ref, "x/y")),
        lambda: storage.read(ref).__enter__(),
        lambda: list(storage.list_objects(s3_bucket)),
        lambda: storage.delete(ref, if_match="x"),
        lambda: storage.ensure_bucket("another"),
    ]
    for call in calls:
        with pytest.raises(StorageRefused) as caught:
            call()
        assert code in (caught.value.evidence or "")
        assert "credentials" in caught.value.message
        assert s3_server.secret not in str(caught.value) + repr(caught.value.evidence)
    [finding] = storage.check(s3_bucket)
    assert not finding.ok
    assert code in finding.detail


def test_no_credentials_at_all(s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nonexistent")
    storage = storage_of(s3_server, access_key=None, secret_key=None)
    with pytest.raises(StorageRefused, match="credentials"):
        storage.stat(ObjectRef(s3_bucket, "k"))


def test_read_only_credentials_read_and_no_more(s3_server: S3Server, s3_bucket: str) -> None:
    ref = ObjectRef(s3_bucket, "k")
    info = put(storage_of(s3_server), ref)
    storage = storage_of(
        s3_server, access_key=s3_server.readonly_access, secret_key=s3_server.readonly_secret
    )
    assert storage.stat(ref) == info
    with storage.read(ref) as chunks:
        assert b"".join(chunks) == b"data"
    for call in (
        lambda: storage.begin(UploadRequest(ObjectRef(s3_bucket, "new"), "x/y")),
        lambda: storage.delete(ref, if_match=info.etag),
    ):
        with pytest.raises(StorageRefused, match="access") as caught:
            call()
        assert "AccessDenied" in (caught.value.evidence or "")
    assert storage.stat(ref) == info
    assert [f.id for f in storage.check(s3_bucket) if not f.ok] == ["write-read-delete"]


@pytest.mark.parametrize("endpoint", ["nonsense", "http://", "ftp://x y"])
def test_an_endpoint_that_is_none(s3_server: S3Server, endpoint: str) -> None:
    with pytest.raises(ConfigurationError, match="endpoint"):
        storage_of(s3_server, endpoint_url=endpoint).stat(ObjectRef("bucket", "k"))


def test_a_lost_reply_does_not_hide_that_another_won(
    s3_server: S3Server, s3_bucket: str, proxy: FaultProxy
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    direct = storage_of(s3_server)
    session = storage_of(s3_server, endpoint_url=proxy.endpoint).begin(UploadRequest(ref, "x/y"))
    session.append(b"mine")
    session.finish_parts()
    raced = []

    def watch(request: bytes) -> Fault | None:
        if request.startswith(b"POST") and not raced:  # after our HEAD found the key empty
            raced.append(put(direct, ref, b"theirs"))
            return Fault("drop")
        return None

    proxy.watch = watch
    with pytest.raises(ObjectExists):
        session.publish()
    with direct.read(ref) as chunks:
        assert b"".join(chunks) == b"theirs"
    assert list(direct.unfinished(s3_bucket)) == []


def test_an_aborted_session_whose_key_stays_empty_is_lost(s3_server: S3Server, s3_bucket: str) -> None:
    storage = storage_of(s3_server)
    session = storage.begin(UploadRequest(ObjectRef(s3_bucket, "k"), "x/y"))
    session.append(b"x")
    session.finish_parts()
    [upload] = storage.unfinished(s3_bucket)
    storage.abort(upload)
    with pytest.raises(UploadLost):
        session.publish()
    assert storage.stat(ObjectRef(s3_bucket, "k")) is None


def test_a_body_cut_again_and_again_is_resumed(
    s3_server: S3Server, s3_bucket: str, proxy: FaultProxy
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    data = bytes(range(256)) * 4096 * 6
    put(storage_of(s3_server), ref, data)
    proxy.watch = nth(1, b"GET ", fault=Fault("cut", 2 * MIB), times=3)
    with storage_of(s3_server, endpoint_url=proxy.endpoint).read(ref, start=5) as chunks:
        assert b"".join(chunks) == data[5:]
    assert proxy.strikes == 3


def test_a_body_that_never_ends_whole_is_an_error(
    s3_server: S3Server, s3_bucket: str, proxy: FaultProxy
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    put(storage_of(s3_server), ref, b"x" * 8 * MIB)
    proxy.watch = lambda request: Fault("cut", 100_000) if request.startswith(b"GET") else None
    began = time.monotonic()
    with (
        storage_of(s3_server, endpoint_url=proxy.endpoint).read(ref) as chunks,
        pytest.raises(StorageUnavailable),
    ):
        list(chunks)
    assert time.monotonic() - began < 10


def test_an_object_replaced_between_two_halves_is_not_glued(
    s3_server: S3Server, s3_bucket: str, proxy: FaultProxy
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    direct = storage_of(s3_server)
    info = put(direct, ref, b"a" * 8 * MIB)
    proxy.watch = lambda request: Fault("cut", 2 * MIB) if request.startswith(b"GET") else None
    with storage_of(s3_server, endpoint_url=proxy.endpoint).read(ref) as chunks:
        next(chunks)
        direct.delete(ref, if_match=info.etag)
        put(direct, ref, b"b" * 8 * MIB)
        with pytest.raises(ObjectChanged):
            list(chunks)


@pytest.mark.parametrize("kind", ["drop", "mute"])
def test_parts_that_never_arrive_fail_in_time(
    s3_server: S3Server, s3_bucket: str, proxy: FaultProxy, kind: Kind
) -> None:
    ref = ObjectRef(s3_bucket, "k")
    proxy.watch = lambda request: Fault(kind) if request.startswith(b"PUT") else None
    storage = storage_of(s3_server, endpoint_url=proxy.endpoint, read_timeout_s=1.0)
    session = storage.begin(UploadRequest(ref, "x/y"))
    began = time.monotonic()
    with pytest.raises(StorageUnavailable):  # noqa: PT012 - whichever append first hears of it
        for _ in range(40):
            session.append(b"x" * 4 * MIB)
    session.abort()
    assert time.monotonic() - began < 20
    assert storage_of(s3_server).stat(ref) is None
    assert list(storage_of(s3_server).unfinished(s3_bucket)) == []


def test_a_versioned_bucket_loses_only_the_version_that_was_checked(
    s3_server: S3Server, s3_bucket: str, s3_client: Any
) -> None:
    s3_client.put_bucket_versioning(Bucket=s3_bucket, VersioningConfiguration={"Status": "Enabled"})
    storage = storage_of(s3_server)
    s3_client.put_object(Bucket=s3_bucket, Key="k", Body=b"old")
    old = storage.stat(ObjectRef(s3_bucket, "k"))
    s3_client.put_object(Bucket=s3_bucket, Key="k", Body=b"new")
    assert old is not None
    with pytest.raises(ObjectChanged):
        storage.delete(old.ref, if_match=old.etag)
    new = storage.stat(old.ref)
    assert new is not None
    assert storage.delete(new.ref, if_match=new.etag)
    assert storage.stat(old.ref) == old


def test_a_bucket_removed_meanwhile(s3_server: S3Server, s3_bucket: str, s3_client: Any) -> None:
    s3_client.delete_bucket(Bucket=s3_bucket)
    with pytest.raises(BucketMissing):
        storage_of(s3_server).stat(ObjectRef(s3_bucket, "k"))


def test_an_object_replaced_during_its_removal_stays(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was looked at, and before it is deleted: the request itself must be conditional."""
    ref, storage = ObjectRef(s3_bucket, "k"), storage_of(s3_server)
    old = put(storage, ref, b"old")
    s3_server.client().put_object(Bucket=s3_bucket, Key="k", Body=b"new")
    monkeypatch.setattr(storage, "stat", lambda _ref: old)
    with pytest.raises(ObjectChanged):
        storage.delete(ref, if_match=old.etag)
    with storage.read(ref) as chunks:
        assert b"".join(chunks) == b"new"


def test_a_look_that_saw_nothing_does_not_overwrite(
    s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another published between the look and the request: the request itself must be create-once."""
    ref, storage = ObjectRef(s3_bucket, "k"), storage_of(s3_server)
    session = storage.begin(UploadRequest(ref, "video/mp4"))
    session.append(b"late")
    put(storage, ref, b"first")
    monkeypatch.setattr(session, "_head", _blind_once(storage._head))
    with pytest.raises(ObjectExists):
        session.publish()
    with storage.read(ref) as chunks:
        assert b"".join(chunks) == b"first"


def _blind_once(look: Callable[[ObjectRef], Any]) -> Callable[[ObjectRef], Any]:
    asked: list[ObjectRef] = []

    def blind(ref: ObjectRef) -> Any:
        asked.append(ref)
        return None if len(asked) == 1 else look(ref)

    return blind
