"""Keys, metadata and listings: one suite, every store."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import (
    Conflict,
    InvalidPayload,
)
from ingestctl.storage.base import UploadRequest

if TYPE_CHECKING:
    from tests.contracts.storage_world import Case

KEYS = [
    "with space/ü/日本 🎬.mp4",
    "per%20cent%2Fx",
    "plus+plus&amp;=?#",
    "-dash/--version",
    "quote'\"`$(x);|",
    "/".join(["k" * 199] * 5),
    "dots..inside/...x",
]


@pytest.mark.parametrize("key", KEYS)
def test_odd_keys(case: Case, key: str) -> None:
    info = case.put(key, key.encode())
    assert case.bytes_of(key) == key.encode()
    assert [found.ref.key for found in case.storage.list_objects(case.bucket)] == [key]
    assert next(case.storage.list_objects(case.bucket, key)).etag == info.etag
    copied = case.storage.copy(info, UploadRequest(case.ref("copy"), "x/y"))
    assert copied.size_bytes == info.size_bytes
    begun = case.storage.begin(UploadRequest(case.ref(key + "2"), "x/y"))
    [upload] = case.storage.unfinished(case.bucket, key[:5])
    assert upload.ref.key == key + "2"
    begun.abort()
    assert case.storage.delete(case.ref(key), if_match=info.etag)


@pytest.mark.parametrize("key", ["", "/abs", "a//b", "../x", "a/../../x", "a/./b", "nul\0", "k" * 1025])
def test_keys_that_name_no_object_are_refused(case: Case, key: str) -> None:
    with pytest.raises(InvalidPayload):
        case.storage.begin(UploadRequest(case.ref(key), "x/y"))
    assert list(case.storage.list_objects(case.bucket)) == []


def test_a_key_segment_longer_than_a_file_name(case: Case) -> None:
    key = f"a/{'x' * 256}/b"
    try:
        case.put(key, b"x")
    except InvalidPayload as error:
        assert "x" * 256 in str(error)  # noqa: PT017 - a folder refuses it, S3 takes it
    else:
        assert case.bytes_of(key) == b"x"


def test_a_key_below_another_key_never_harms_it(case: Case) -> None:
    case.put("a", b"a")
    case.put("b/c", b"c")
    for key in ("a/x", "b"):
        try:
            case.put(key, b"new")
        except Conflict as error:
            assert key in error.message  # noqa: PT017 - some backends can hold both
        else:
            assert case.bytes_of(key) == b"new"
    assert (case.bytes_of("a"), case.bytes_of("b/c")) == (b"a", b"c")
    assert case.storage.stat(case.ref("a/y")) is None


def test_metadata_of_any_script(case: Case) -> None:
    metadata = {
        "run-id": "r-1",
        "title": "Тест — ü 🎬",
        "spaced": " x ",
        "looks": "=?UTF-8?B?eA==?=",
        "empty": "",
    }
    case.put("k", b"x", metadata)
    found = case.storage.stat(case.ref("k"))
    assert found is not None
    assert found.metadata == metadata


def test_listing_is_ordered_paged_and_resumable(case: Case) -> None:
    keys = [f"p/{n:04d}/x" for n in range(1100)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda key: case.put(key, b"x"), keys))
    case.put("q", b"xy")
    assert [found.ref.key for found in case.storage.list_objects(case.bucket, "p/")] == keys
    assert [found.ref.key for found in case.storage.list_objects(case.bucket)] == [*keys, "q"]
    after = case.storage.list_objects(case.bucket, "p/", start_after="p/1049/x")
    assert [found.ref.key for found in after] == keys[1050:]
    assert [found.ref.key for found in case.storage.list_objects(case.bucket, "p/109")] == keys[1090:]
    last = list(case.storage.list_objects(case.bucket, "q"))
    assert last == [replace(case.storage.stat(case.ref("q")), content_type=None, metadata=None)]
