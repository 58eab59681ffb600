"""What a file's first bytes say it is, where that is not audio or video."""

from __future__ import annotations

import re

HEAD_BYTES = 4096

_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "a JPEG image"),
    (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    (b"GIF87a", "a GIF image"),
    (b"GIF89a", "a GIF image"),
    (b"II*\x00", "a TIFF image"),
    (b"MM\x00*", "a TIFF image"),
    (b"%PDF-", "a PDF document"),
    (b"PK\x03\x04", "a ZIP archive"),
    (b"PK\x05\x06", "a ZIP archive"),
    (b"\x1f\x8b", "gzip data"),
    (b"BZh", "bzip2 data"),
    (b"\xfd7zXZ\x00", "xz data"),
    (b"\x28\xb5\x2f\xfd", "zstd data"),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive"),
    (b"Rar!\x1a\x07", "a RAR archive"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3\x00", "a database"),
)
_IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1", b"hevc", b"crx ")


def not_media(head: bytes) -> str | None:
    """Name what ``head`` (the first 4 KiB) is when it certainly is no media container, else None."""
    if not head:
        return "an empty file"
    for signature, name in _SIGNATURES:
        if head.startswith(signature):
            return name
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "a WebP image"
    if head[:2] == b"BM" and head[6:10] == bytes(4):
        return "a BMP image"
    if head[4:8] == b"ftyp" and head[8:12] in _IMAGE_BRANDS:
        return "a still image (HEIF, AVIF or a raw photo)"
    return _text(head)


def _text(head: bytes) -> str | None:
    # A multi-byte character may be cut at the end of the head.
    body = head.removeprefix(b"\xef\xbb\xbf")
    if body[:2] in (b"\xff\xfe", b"\xfe\xff") and b"<\x00" in body[:64] + b"\x00":
        return "a text file (UTF-16)"
    if re.search(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]", body):
        return None
    words = body.lstrip()[:512].lower()
    if re.search(rb"<!doctype html|<html|<head|<body|<script", words):
        return "an HTML page"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(body) - 4:
            return None
    if words.startswith(b"#extm3u"):
        return "a playlist (HLS)"
    if words.startswith((b"<?xml", b"<mpd")):
        return "an XML document"
    if words.startswith(b"version https://git-lfs.github.com/spec"):
        return "a git-LFS pointer, not the file it points to"
    if words.startswith((b"{", b"[")):
        return "a JSON document"
    return "a text file"
