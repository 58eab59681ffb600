"""Videos to measure with: real, decodable MP4 of a chosen length, padded to a realistic size."""

from __future__ import annotations

import os
import struct
from typing import TYPE_CHECKING

from benchmarks.command import run

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1024 * 1024


def video(path: Path, ffmpeg: Path, *, seconds: int, size: int | None = None) -> Path:
    """Write (once) a progressive MP4: picture and speech-band sound, moov first.

    A minute is encoded and repeated; up to ``size`` bytes are filled by a trailing ``free`` box, which
    every reader skips. So hours of video cost seconds to make, and still decode from end to end.
    """
    if path.exists():
        return path
    piece, whole = path.with_suffix(".piece.mp4"), path.with_suffix(".whole.mp4")
    length = min(seconds, 60)
    picture = f"testsrc2=size=320x180:rate=5:duration={length}"
    sound = f"aevalsrc='0.3*sin(2*PI*(300+200*sin(t))*t)+0.05*random(0)':s=44100:d={length}"
    program = [str(ffmpeg), *"-v error -nostdin -y".split()]
    inputs = ["-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", sound]
    codecs = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -c:a aac".split()
    run([*program, *inputs, *codecs, str(piece)])
    repeat = ["-stream_loop", str(seconds // length - 1), "-i", str(piece)]
    run([*program, *repeat, *"-c copy -movflags +faststart".split(), str(whole)])
    if size is not None:
        _pad(whole, size)
    piece.unlink()
    whole.rename(path)
    return path


def _pad(path: Path, size: int) -> None:
    left = size - path.stat().st_size - 16
    noise = os.urandom(MIB)
    with path.open("ab") as file:
        file.write(struct.pack(">I4sQ", 1, b"free", left + 16))
        while left > 0:
            left -= file.write(noise[:left])
