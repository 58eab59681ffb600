"""Whether two sounds are one, and the verdict that stands for all."""

from __future__ import annotations

import math
import random
import wave
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import Exit, StorageUnavailable
from ingestctl.domain.verification import Level, exit_of, worst
from ingestctl.ops.audit import refuse_if_too_few
from ingestctl.ops.listening import SAME_SOUND, similarity

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def wav(path: Path, samples: Sequence[int]) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        file.writeframes(b"".join(s.to_bytes(2, "little", signed=True) for s in samples))
    return path


def noise(seed: int, count: int = 40_000, loud: int = 8000) -> list[int]:
    dice = random.Random(seed)
    return [dice.randrange(-loud, loud) for _ in range(count)]


def test_one_sound_and_another(tmp_path: Path) -> None:
    one = wav(tmp_path / "a.wav", noise(1))
    rounded = wav(tmp_path / "b.wav", [s + (1 if n % 2 else -1) for n, s in enumerate(noise(1))])
    other = wav(tmp_path / "c.wav", noise(2))
    assert similarity(one, one) == pytest.approx(1)
    assert similarity(one, rounded) > SAME_SOUND
    assert similarity(one, other) < 0.1


def test_silence(tmp_path: Path) -> None:
    silent = wav(tmp_path / "a.wav", [0] * 40_000)
    hiss = wav(tmp_path / "b.wav", noise(1, loud=3))
    loud = wav(tmp_path / "c.wav", [round(9000 * math.sin(n / 20)) for n in range(40_000)])
    assert similarity(silent, hiss) == 1.0
    assert similarity(silent, loud) == 0.0
    assert similarity(wav(tmp_path / "d.wav", []), wav(tmp_path / "e.wav", [1, 2])) == 1.0


def test_found_bad_comes_before_could_not_check() -> None:
    assert worst([Verdict.INTACT, Verdict.UNKNOWN, Verdict.MISSING]) is Verdict.MISSING
    assert exit_of([]) is Exit.DONE
    assert exit_of([Verdict.INTACT, Verdict.UNKNOWN]) is Exit.UNAVAILABLE
    assert exit_of([Verdict.FOREIGN, Verdict.UNKNOWN]) is Exit.VERIFICATION_FAILED
    assert Level.DECODE.includes(Level.CHECKSUM)
    assert not Level.EXISTS.includes(Level.CHECKSUM)


@pytest.mark.parametrize(
    ("expected", "present", "believed"),
    [(0, 0, True), (1, 0, False), (9, 1, True), (10, 4, False), (10, 5, True), (1000, 499, False)],
)
def test_how_little_is_believed(expected: int, present: int, believed: bool) -> None:
    if believed:
        refuse_if_too_few(expected, present, "a bucket")
    else:
        with pytest.raises(StorageUnavailable, match=f"{present} of {expected}"):
            refuse_if_too_few(expected, present, "a bucket")
