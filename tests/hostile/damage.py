"""Every container, damaged in every way: what comes out must be refused, or have all its audio.

Two seconds of noise each, so that a lost part is a silent or a missing one.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.hostile.kit import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = (
    "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=2",
    "-f", "lavfi", "-i", "anoisesrc=d=2:a=0.3:r=44100:seed=7",
)  # fmt: skip
_X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 10 "
_VP8 = "-c:v libvpx -deadline realtime "
BASES = [
    Encoding("fast.mp4", _X264 + "-c:a aac -movflags +faststart", 2.0),
    Encoding("end.mp4", _X264 + "-c:a aac", 2.0),
    Encoding("frag.mp4", _X264 + "-c:a aac -movflags +frag_keyframe+empty_moov", 2.0),
    Encoding("alac.mov", _X264 + "-c:a alac", 2.0),
    Encoding("v.3gp", _X264 + "-ar 8000 -c:a aac -b:a 12k", 2.0),
    Encoding("v.mkv", _X264 + "-c:a aac", 2.0),
    Encoding("flac.mkv", _X264 + "-c:a flac", 2.0),
    Encoding("v.webm", _VP8 + "-c:a libopus", 2.0),
    Encoding("live.webm", _VP8 + "-c:a libopus -live 1", 2.0),
    Encoding("v.ts", _X264 + "-c:a aac", 2.0),
    Encoding("ac3.m2ts", _X264 + "-c:a ac3 -mpegts_m2ts_mode 1", 2.0),
    Encoding("v.mpg", "-c:v mpeg2video -r 25 -c:a mp2", 2.0),
    Encoding("v.flv", _X264 + "-c:a aac", 2.0),
    Encoding("v.avi", "-c:v mpeg4 -c:a libmp3lame", 2.0),
    Encoding("pcm.avi", "-c:v mpeg4 -c:a pcm_s16le", 2.0),
    Encoding("v.wmv", "-c:v wmv2 -c:a wmav2", 2.0),
    Encoding("v.mxf", "-c:v mpeg2video -r 25 -c:a pcm_s16le -ar 48000", 2.0),
    Encoding("v.ogg", "-vn -c:a libopus", 2.0),
    Encoding("flac.ogg", "-vn -c:a flac", 2.0),
]


def _cut(part: float) -> Callable[[bytes], bytes]:
    # Seven bytes more, so as to fall between no two packets: such a cut leaves no trace.
    return lambda data: data[: int(len(data) * part) // 2048 * 2048 + 7]


def _zeros(begin: float, end: float) -> Callable[[bytes], bytes]:
    def damaged(data: bytes) -> bytes:
        a, b = int(len(data) * begin), int(len(data) * end)
        return data[:a] + bytes(b - a) + data[b:]

    return damaged


def _without(begin: float, end: float) -> Callable[[bytes], bytes]:
    return lambda data: data[: int(len(data) * begin)] + data[int(len(data) * end) :]


def _flipped(bits: int, seed: int, within: int | None = None) -> Callable[[bytes], bytes]:
    def damaged(data: bytes) -> bytes:
        dice, found = random.Random(seed), bytearray(data)
        for _ in range(bits):
            found[dice.randrange(within or len(data))] ^= 1 << dice.randrange(8)
        return bytes(found)

    return damaged


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut 10 %": _cut(0.1),
    "cut 50 %": _cut(0.5),
    "cut 90 %": _cut(0.9),
    "last byte gone": lambda data: data[:-1],
    "zeros from 30 %": _zeros(0.3, 1),
    "zeros from 80 %": _zeros(0.8, 1),
    "hole": _zeros(0.45, 0.7),
    "part gone": _without(0.45, 0.7),
    "noise at the end": lambda data: (
        data[: len(data) * 7 // 10] + random.Random(3).randbytes(len(data) * 3 // 10)
    ),
    "100 bits": _flipped(100, 1),
    "head zeroed": _zeros(0, 0.01),
    "head flipped": _flipped(8, 2, within=1500),
}
MUST_REFUSE = ("cut", "zeros", "hole", "part gone", "noise")
"""Where so much is gone that no success is possible."""
UNTOLD = {("v.wmv", "hole"), ("v.wmv", "noise at the end"), ("pcm.avi", "noise at the end")}
"""Nothing shows it: ASF is read on without a word where packets are gone and claims no length for a track;
an AVI whose index is gone and whose sound is PCM has nothing that counts it. See docs/reliability.md."""
TOLERANCE_S = 0.3
"""What may be missing: media/audio.py's tolerance, and a packet at either end."""
