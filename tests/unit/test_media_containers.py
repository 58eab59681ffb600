from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest

from ingestctl.media.containers import declared
from ingestctl.media.endings import ruined_end
from ingestctl.media.sniff import not_media

if TYPE_CHECKING:
    from pathlib import Path


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


FTYP = _box(b"ftyp", b"isom\0\0\0\0")


def _write(tmp_path: Path, data: bytes) -> Path:
    path = tmp_path / "file"
    path.write_bytes(data)
    return path


def test_mp4_boxes_are_summed_also_beyond_the_end(tmp_path: Path) -> None:
    found = declared(_write(tmp_path, FTYP + _box(b"mdat", bytes(100))[:50]))
    assert (found.size, found.flavour, found.fragmented) == (len(FTYP) + 108, "isom", False)


def test_mp4_large_and_open_sizes(tmp_path: Path) -> None:
    large = struct.pack(">I4sQ", 1, b"mdat", 6 << 30) + bytes(10)
    assert declared(_write(tmp_path, FTYP + large)).size == len(FTYP) + (6 << 30)
    to_the_end = struct.pack(">I4s", 0, b"mdat") + bytes(77)
    assert declared(_write(tmp_path, FTYP + to_the_end)).size == len(FTYP) + 8 + 77


def test_stray_bytes_after_the_last_box_are_no_damage(tmp_path: Path) -> None:
    path = _write(tmp_path, FTYP + _box(b"moov", bytes(8)) + b"\0\0\0")
    assert (declared(path).size or 0) <= path.stat().st_size


def test_fragments_are_seen(tmp_path: Path) -> None:
    assert declared(_write(tmp_path, FTYP + _box(b"moof", bytes(8)))).fragmented


@pytest.mark.parametrize(
    ("segment", "size"),
    [
        (b"\x01" + (1000).to_bytes(7, "big"), 1000),
        (b"\x01" + b"\xff" * 7, None),
        (b"\xff", None),
        (b"\x85", 5),
    ],
)
def test_matroska_segment_sizes(tmp_path: Path, segment: bytes, size: int | None) -> None:
    head = b"\x1a\x45\xdf\xa3\x87\x42\x82\x84webm"
    data = head + b"\x18\x53\x80\x67" + segment
    found = declared(_write(tmp_path, data))
    assert found.flavour == "webm"
    assert found.size == (None if size is None else len(data) + size)


def test_riff_chains_and_streamed_headers(tmp_path: Path) -> None:
    first = b"RIFF" + struct.pack("<I", 12) + b"AVI " + bytes(8)
    second = b"RIFF" + struct.pack("<I", 100) + b"AVIX" + bytes(8)
    assert declared(_write(tmp_path, first + second)).size == 20 + 108
    assert declared(_write(tmp_path, b"RIFF\xff\xff\xff\xffWAVE" + bytes(40))).size is None


@pytest.mark.parametrize(
    "data", [b"", b"\x1a\x45\xdf\xa3", b"\0\0\0\x01ftyp", b"RIFF", b"FLV\x01", bytes(5000)]
)
def test_nonsense_declares_nothing_and_raises_nothing(tmp_path: Path, data: bytes) -> None:
    assert declared(_write(tmp_path, data)).size is None


def _page(body: bytes) -> bytes:
    lacing = bytes([255] * (len(body) // 255) + [len(body) % 255])
    return b"OggS" + bytes(22) + bytes([len(lacing)]) + lacing + body


PACKET = b"\x47\x01\x00\x10" + bytes([7] * 184)
PACK = b"\0\0\1\xba\x44" + bytes(8) + b"\xf8" + b"\0\0\1\xc0\x01\x00" + bytes([7] * 256)
UNITS = {
    "ogg": _page(bytes([9] * 3000)),
    "mpegts": PACKET,
    "mpeg": PACK,
}


@pytest.mark.parametrize("kind", UNITS)
def test_where_no_size_is_declared_the_last_unit_tells_a_cut(tmp_path: Path, kind: str) -> None:
    whole = UNITS[kind] * 60
    assert declared(_write(tmp_path, whole)).kind == kind
    assert (declared(_write(tmp_path, whole)).size or 0) <= len(whole)
    assert ruined_end(_write(tmp_path, whole)) is None
    for gone in (1, 50, 150):
        cut = declared(_write(tmp_path, whole[:-gone]))
        assert cut.size is not None
        assert len(whole) - gone < cut.size <= len(whole)
    assert "none of its container" in (ruined_end(_write(tmp_path, whole + bytes([99] * 1000))) or "")
    assert "zeros" in (ruined_end(_write(tmp_path, whole + bytes(4096))) or "")


def test_transport_packets_out_of_step_at_the_end_are_packets_all_the_same(tmp_path: Path) -> None:
    joined = _write(tmp_path, PACKET * 60 + b"ID3 tag" + PACKET * 60)
    assert declared(joined).size is None
    assert ruined_end(joined) is None


def test_an_avi_index_tells_the_bytes_of_each_audio_stream(tmp_path: Path) -> None:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack("<4sI", kind, len(body)) + body

    entries = [(b"00dc", 900), (b"01wb", 400), (b"01wb", 300), (b"02wb", 7)]
    index = b"".join(struct.pack("<4sIII", kind, 16, 0, size) for kind, size in entries)
    body = b"AVI " + chunk(b"LIST", b"movi" + bytes(40)) + chunk(b"idx1", index)
    assert declared(_write(tmp_path, chunk(b"RIFF", body))).audio_bytes == {1: 700, 2: 7}


@pytest.mark.parametrize(
    ("head", "word"),
    [
        (b"", "empty"),
        (b"\n\n <!DOCTYPE HTML><html>", "HTML"),
        (b"<html><body>\xe4\xf6</body>", "HTML"),
        (b'{"error": 1}', "JSON"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:1\n", "git-LFS"),
        (b"#EXTM3U\n/etc/passwd\n", "playlist"),
        (b"ffconcat version 1.0\nfile /etc/passwd\n", "text"),
        ("ÄÖ".encode() * 2000 + b"\xc3", "text"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"\x89PNG\r\n\x1a\n\0", "PNG"),
        (b"PK\x03\x04\0\0", "ZIP"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"RIFF\0\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x1cftypavif", "still image"),
    ],
)
def test_what_is_no_media_is_named(head: bytes, word: str) -> None:
    assert word in (not_media(head) or "")


@pytest.mark.parametrize(
    "head",
    [FTYP, b"\x1a\x45\xdf\xa3\x9f", b"RIFF\0\0\0\0AVI LIST", b"\x47\x40\x00\x10", b"ID3\x04\0\0\0\0\0\x15"],
)
def test_media_heads_pass(head: bytes) -> None:
    assert not_media(head) is None
