"""Files named .mp4 that are no media: made by hand, or by ffmpeg where they are pictures."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import random
import struct
import tarfile
import zipfile

from tests.hostile.kit import Encoding

IMAGES = [
    Encoding("jpeg", "-frames:v 1 -c:v mjpeg -f image2 -update 1"),
    Encoding("png", "-frames:v 1 -c:v png -f image2 -update 1"),
    Encoding("gif", "-frames:v 1 -c:v gif -f gif"),
    Encoding("gif-animated", "-c:v gif -f gif"),
    Encoding("png-animated", "-c:v apng -f apng"),
    Encoding("bmp", "-frames:v 1 -c:v bmp -f image2 -update 1"),
    Encoding("tiff", "-frames:v 1 -c:v tiff -f image2 -update 1"),
    Encoding("ico", "-frames:v 1 -s 64x64 -c:v bmp -f ico"),
    Encoding("avif", "-frames:v 1 -c:v libsvtav1 -f avif"),
    Encoding("avif-animated", "-frames:v 3 -c:v libsvtav1 -f avif"),
    Encoding("webp", "-frames:v 1 -c:v libwebp -f webp"),
    Encoding("jpeg2000", "-frames:v 1 -c:v jpeg2000 -f image2 -update 1"),
    Encoding("targa", "-frames:v 1 -c:v targa -f image2 -update 1"),
    Encoding("ppm", "-frames:v 1 -c:v ppm -f image2 -update 1"),
    Encoding("pgm", "-frames:v 1 -c:v pgm -f image2 -update 1"),
    Encoding("pcx", "-frames:v 1 -c:v pcx -f image2 -update 1"),
    Encoding("qoi", "-frames:v 1 -c:v qoi -f image2 -update 1"),
    Encoding("sgi", "-frames:v 1 -c:v sgi -f image2 -update 1"),
    Encoding("dpx", "-frames:v 1 -c:v dpx -f image2 -update 1"),
    Encoding("jpegls", "-frames:v 1 -c:v jpegls -f image2 -update 1"),
    Encoding("hdr", "-frames:v 1 -c:v hdr -f image2 -update 1"),
    Encoding("pictures.mjpeg", "-c:v mjpeg -f mjpeg"),
    Encoding("raw.y4m", "-c:v wrapped_avframe -pix_fmt yuv420p -f yuv4mpegpipe"),
    Encoding("film.gif.nut", "-c:v mpeg4 -f nut"),
]


def _archive(whole: bytes) -> dict[str, bytes]:
    packed, tarred = io.BytesIO(), io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("video.mp4", whole)
    with tarfile.open(fileobj=tarred, mode="w") as tar:
        entry = tarfile.TarInfo("video.mp4")
        entry.size = len(whole)
        tar.addfile(entry, io.BytesIO(whole))
    return {
        "zip": packed.getvalue(),
        "zip-empty": b"PK\x05\x06" + bytes(18),
        "tar": tarred.getvalue(),
        "gzip": gzip.compress(whole),
        "bzip2": bz2.compress(whole),
        "xz": lzma.compress(whole),
        "7z": b"7z\xbc\xaf\x27\x1c\0\4" + bytes(200),
        "rar": b"Rar!\x1a\x07\x01\x00" + bytes(200),
        "zstd": b"\x28\xb5\x2f\xfd" + bytes(200),
        "cab": b"MSCF" + bytes(60) + whole[:2000],
        "ar": b"!<arch>\ndebian-binary   0           0     0     100644  4         `\n2.0\n",
        "iso": bytes(32768) + b"\x01CD001\x01" + bytes(4000),
    }


def _documents() -> dict[str, bytes]:
    page = b"<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in.</body></html>"
    return {
        "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + bytes(range(256)) * 8,
        "postscript": b"%!PS-Adobe-3.0\nshowpage\n",
        "rtf": rb"{\rtf1\ansi hello}",
        "html": page,
        "html-late": b"\n" * 600 + page,
        "html-bom": b"\xef\xbb\xbf" + page,
        "html-utf16": page.decode().encode("utf-16"),
        "html-latin": page.replace(b"sign", "größer".encode("latin-1")),
        "json": json.dumps({"error": "not found", "code": 404}).encode(),
        "json-lines": b'{"a": 1}\n' * 500,
        "xml": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
        "text": b"The video is not available in your country.\n",
        "text-latin": "Ungültig, größer, süß. ".encode("latin-1") * 300,
        "text-long": b"0123456789abcdef" * 5000,
        "csv": b"id,title\n1,x\n",
        "lfs": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"4d" * 32 + b"\nsize 12345\n",
        "annex": b"/annex/objects/SHA256E-s12345--4d4d4d.mp4\n",
        "torrent": b"d8:announce35:http://tracker.example/announce4:infod6:lengthi9eee",
        "mail": b"From: a@example.org\nContent-Type: video/mp4\n\nx\n",
        "php": b"<?php system($_GET['c']); ?>",
    }


def _binaries() -> dict[str, bytes]:
    dice = random.Random(11)
    return {
        "empty": b"",
        "one-byte": b"\0",
        "one-letter": b"x",
        "zeros": bytes(100_000),
        "ones": b"\xff" * 100_000,
        **{f"random-{n}": dice.randbytes(60_000) for n in range(4)},
        "elf": b"\x7fELF\x02\x01\x01" + bytes(60) + dice.randbytes(3000),
        "exe": b"MZ\x90\0" + bytes(60) + dice.randbytes(3000),
        "macho": b"\xcf\xfa\xed\xfe" + bytes(60) + dice.randbytes(3000),
        "wasm": b"\0asm\1\0\0\0" + bytes(60),
        "class": b"\xca\xfe\xba\xbe\0\0\0\x34" + bytes(300),
        "sqlite": b"SQLite format 3\0" + bytes(4000),
        "font": b"OTTO\0\x0b" + bytes(400),
        "pcap": b"\xd4\xc3\xb2\xa1\2\0\4\0" + bytes(400),
        "midi": b"MThd\0\0\0\6\0\1\0\1\0\x60MTrk\0\0\0\4\0\xff\x2f\0",
        "webp-tiny": b"RIFF\x24\0\0\0WEBPVP8L\x17\0\0\0\x2f\0\0\0\x10\x07\x10\x11\x11\x88\x88\xfe\x07\0",
        "heic": struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(300),
        "heif-sequence": struct.pack(">I", 24) + b"ftypmsf1\0\0\0\0msf1hevc" + bytes(300),
        "jxl": b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(300),
        "photoshop": b"8BPS\0\1" + bytes(300),
        "raw-photo": struct.pack(">I", 24) + b"ftypcrx \0\0\0\1crx isom" + bytes(300),
        "sound-font": b"RIFF" + struct.pack("<I", 304) + b"sfbkLIST" + bytes(296),
    }


def made_by_hand(whole: bytes) -> dict[str, bytes]:
    """Every file but the pictures; ``whole`` is a good video, to be packed into archives."""
    return {**_archive(whole), **_documents(), **_binaries()}
