"""What a container declares about itself, read from its own headers: its size, and its flavour.

ffprobe does not tell these. Only headers are read, with seeks between them, so a file of any size
costs a few reads. Sources: ISO/IEC 14496-12 (boxes), RFC 8794 and RFC 9559 (EBML, Matroska), the
RIFF and OpenDML AVI specifications, the ASF specification (File Properties Object) and the FLV
specification's onMetaData. Containers that declare no size are asked how they end: see media.endings.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from ingestctl.media.endings import is_transport, page_end, program_end, transport_end

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

_MAX_BOXES = 200_000
_MAX_INDEX = 64 << 20
_EBML = b"\x1a\x45\xdf\xa3"
_SEGMENT = b"\x18\x53\x80\x67"
_ASF_HEADER = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


@dataclass(frozen=True, slots=True)
class Declared:
    """``size`` in bytes as declared (None: not declared, or open-ended); ``flavour`` is the MP4 brand or
    the EBML document type; ``fragmented`` tells an MP4 whose sample tables are spread over the file;
    ``audio_bytes`` is what an AVI's index lists of each audio stream, by the stream's number."""

    kind: str | None = None
    size: int | None = None
    flavour: str | None = None
    fragmented: bool = False
    audio_bytes: Mapping[int, int] = field(default_factory=dict)


def declared(path: Path) -> Declared:
    """Read what ``path`` declares of itself; what is not understood is None. Never raises on content."""
    with path.open("rb") as file:
        length = os.fstat(file.fileno()).st_size
        head = file.read(4096)
        try:
            return _by_magic(file, head, length)
        except (struct.error, IndexError, ValueError):
            return Declared()


def _by_magic(file: BinaryIO, head: bytes, length: int) -> Declared:
    if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"styp"):
        return _mp4(file, length)
    if head.startswith(_EBML):
        return _matroska(head)
    if head[:4] in (b"RIFF", b"RF64") and head[8:12] in (b"AVI ", b"WAVE"):
        return _riff(file, head, length)
    if head.startswith(_ASF_HEADER):
        return _asf(head)
    if head.startswith(b"FLV\x01"):
        return _flv(head)
    if head.startswith(b"OggS\0"):
        return Declared("ogg", page_end(file, length))
    if head.startswith(b"\0\0\1\xba"):
        return Declared("mpeg", program_end(file, length))
    if is_transport(head):
        return Declared("mpegts", transport_end(file, head, length))
    return Declared()


def _boxes(file: BinaryIO, length: int) -> Iterator[tuple[bytes, int, int]]:
    """Top-level boxes: type, start, declared end."""
    at = 0
    for _ in range(_MAX_BOXES):
        if at + 8 > length:
            # A few stray bytes after the last box are common; a cut header is not told from them.
            return
        file.seek(at)
        size, kind = struct.unpack(">I4s", file.read(8))
        if size == 1:
            (size,) = struct.unpack(">Q", file.read(8))
        elif size == 0:  # to the end of the file
            size = length - at
        if size < 8 or not kind.isascii() or not kind.replace(b" ", b"a").isalnum():
            return
        yield kind, at, at + size
        at += size


def _mp4(file: BinaryIO, length: int) -> Declared:
    end, brand, fragmented = 0, None, False
    for kind, start, box_end in _boxes(file, length):
        end = box_end
        if kind == b"ftyp":
            file.seek(start + 8)
            brand = file.read(4).decode("ascii", "replace")
        fragmented = fragmented or kind == b"moof"
    return Declared("mp4", end or None, brand, fragmented)


def _vint(data: bytes, at: int) -> tuple[int | None, int]:
    """An EBML size: its value (None when unknown) and where it ends."""
    first = data[at]
    width = 9 - first.bit_length()
    value = int.from_bytes(data[at : at + width], "big") & ((1 << (7 * width)) - 1)
    return (None if value == (1 << (7 * width)) - 1 else value), at + width


def _matroska(head: bytes) -> Declared:
    size, body = _vint(head, 4)
    if size is None:
        return Declared("matroska")
    end = body + size
    mark = head.find(b"\x42\x82", body, end)
    doctype = None
    if mark >= 0:
        width, start = _vint(head, mark + 2)
        doctype = head[start : start + (width or 0)].rstrip(b"\0").decode("ascii", "replace")
    while head[end : end + 1] == b"\xec":  # Void elements may come first
        size, body = _vint(head, end + 1)
        end = body + (size or 0)
    if head[end : end + 4] != _SEGMENT:
        return Declared("matroska", None, doctype)
    size, body = _vint(head, end + 4)
    return Declared("matroska", None if size is None else body + size, doctype)


def _riff(file: BinaryIO, head: bytes, length: int) -> Declared:
    flavour = head[8:12].decode("ascii", "replace").strip()
    if head[:4] == b"RF64":
        (size,) = struct.unpack_from("<Q", head, 20) if head[12:16] == b"ds64" else (None,)
        return Declared("riff", None if size is None else size + 8, flavour)
    at = 0
    while at + 12 <= length:
        file.seek(at)
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind != b"RIFF":
            break
        if size in (0, 0xFFFFFFFF) or (at == 0 and size == 0x7FFFFFFF):  # streamed: never filled in
            return Declared("riff", None, flavour)
        at += 8 + size + (size & 1)
        if flavour != "AVI":
            break
    # The pad byte after an odd chunk is often left out.
    listed = _avi_index(file, length) if flavour == "AVI" else {}
    return Declared("riff", (at - 1 if at - 1 == length else at) or None, flavour, audio_bytes=listed)


def _avi_index(file: BinaryIO, length: int) -> dict[int, int]:
    """Bytes of audio by stream in the first index of an AVI; beyond 1 GB there are more, which add to it."""
    at, listed = 12, dict[int, int]()
    while at + 8 <= length:
        file.seek(at)
        kind, size = struct.unpack("<4sI", file.read(8))
        if kind == b"idx1":
            entries = file.read(min(size, _MAX_INDEX) // 16 * 16)
            for chunk, _, _, amount in struct.iter_unpack("<4sIII", entries):
                if chunk[2:] == b"wb" and chunk[:2].isdigit():
                    listed[int(chunk[:2])] = listed.get(int(chunk[:2]), 0) + amount
            break
        at += 8 + size + (size & 1)
    return listed


def _asf(head: bytes) -> Declared:
    at = head.find(_ASF_FILE_PROPERTIES)
    if at < 0:
        return Declared("asf")
    (size,) = struct.unpack_from("<Q", head, at + 40)
    (flags,) = struct.unpack_from("<I", head, at + 88)
    broadcast = flags & 1
    return Declared("asf", size if size and not broadcast else None)


def _flv(head: bytes) -> Declared:
    key = b"\x00\x08filesize\x00"
    at = head.find(key)
    if at < 0:
        return Declared("flv")
    (size,) = struct.unpack_from(">d", head, at + len(key))
    return Declared("flv", int(size) if 0 < size < 1 << 53 else None)
