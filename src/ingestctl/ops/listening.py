"""Whether two WAV files (16 kHz, mono, 16 bit) hold the same sound."""

from __future__ import annotations

import math
import sys
import wave
from array import array
from operator import mul
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

RATE = 16_000
SAME_LENGTH_S = 0.5
"""How far the lengths of audio and video may differ and still belong together: encoder delay and padding."""
SAME_SOUND = 0.98
"""The least correlation of two decodes of one track by different ffmpeg versions: their resamplers differ
by rounding, which is far less than this allows. Different recordings correlate near 0."""
_WINDOWS = 400
_WINDOW = RATE // 4
_SILENCE = 8 * 8
"""Mean square (of 16-bit samples) below which a window is as good as silent."""


def similarity(one: Path, other: Path) -> float:
    """Correlation (0 to 1) of up to 400 windows of 0.25 s, spread evenly over the shorter file.

    1.0 where both are silent. Raises wave.Error on what is no plain PCM WAV.
    """
    with wave.open(str(one), "rb") as a, wave.open(str(other), "rb") as b:
        length = min(a.getnframes(), b.getnframes())
        count = max(1, min(_WINDOWS, length // _WINDOW))
        product = left = right = 0
        for number in range(count):
            start = (length - _WINDOW) * number // max(1, count - 1) if length > _WINDOW else 0
            x, y = _window(a, start), _window(b, start)
            product += sum(map(mul, x, y))
            left += sum(map(mul, x, x))
            right += sum(map(mul, y, y))
    quiet = _SILENCE * count * _WINDOW
    if left < quiet and right < quiet:
        return 1.0
    return max(0.0, product / math.sqrt(left * right)) if left and right else 0.0


def _window(file: wave.Wave_read, start: int) -> array[int]:
    file.setpos(start)
    samples = array("h")
    samples.frombytes(file.readframes(_WINDOW))
    if sys.byteorder == "big":
        samples.byteswap()
    return samples
