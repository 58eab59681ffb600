"""What the hostile corpus is played with: a case says what must come out, and the real probe and extraction
say what did."""

from __future__ import annotations

import array
import re
import subprocess
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from ingestctl.domain.errors import IngestError
from ingestctl.domain.stop import Stop
from ingestctl.media.ffmpeg_tool import FFmpegTool
from ingestctl.media.tools import Tools, find_tools

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

LOUD = 600
"""The mean level of 50 ms from which they count as sound."""
_WINDOW = 800


@dataclass(frozen=True, slots=True)
class Played:
    """How one file ended: with the code of an error, or with a track of so many seconds."""

    code: str | None = None
    message: str = ""
    seconds: float = 0.0
    loud_s: float = 0.0

    def __str__(self) -> str:
        if self.code:
            return f"{self.code}: {self.message}"
        return f"{self.seconds:.2f} s of audio, {self.loud_s:.2f} s of them loud"


@dataclass(frozen=True, slots=True)
class Encoding:
    """A file for ffmpeg to make: its options, the encoders they need, and which inputs it maps."""

    name: str
    options: str
    seconds: float | None = 1.0
    """Seconds of audio that must come out."""
    track: int | None = None
    """The stream that must have been taken, where it matters."""


class Kit:
    """Makes files in ``folder`` and plays them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self._into = folder.with_name("extracted")
        self._into.mkdir()
        self.played = 0
        self.wrong: list[str] = []

    @cached_property
    def tools(self) -> Tools:
        return find_tools()

    @cached_property
    def media(self) -> FFmpegTool:
        return FFmpegTool(lambda: self.tools)

    @cached_property
    def encoders(self) -> frozenset[str]:
        said = subprocess.run(
            [str(self.tools.ffmpeg), "-hide_banner", "-encoders"], capture_output=True, text=True, check=True
        ).stdout
        return frozenset(re.findall(r"^ [VAS]\S{5} (\S+)", said, re.MULTILINE))

    def ffmpeg(self, *arguments: str) -> None:
        command = [str(self.tools.ffmpeg), "-nostdin", "-v", "error", "-y", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder)
        assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"

    def encode(self, inputs: Sequence[str], table: Iterable[Encoding]) -> dict[str, str]:
        """Make every encoding in one process; return what could not be made, and the encoder it lacks."""
        arguments, missing = list(inputs), dict[str, str]()
        for row in table:
            lacks = [e for e in re.findall(r"-c(?::\S+)? (\S+)", row.options) if e != "copy"]
            lacks = [e for e in lacks if e not in self.encoders]
            if lacks:
                missing[row.name] = lacks[0]
            else:
                arguments += ["-strict", "-2", *row.options.split(), row.name]
        self.ffmpeg(*arguments)
        return missing

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path

    def play(self, path: Path, media: FFmpegTool | None = None) -> Played:
        """Probe and extract."""
        tool = media or self.media
        self.played += 1
        try:
            track = tool.extract_audio(path, tool.probe(path, Stop()), self._into, Stop())
        except IngestError as error:
            left = [p.name for p in self._into.iterdir()]
            if left:
                self.wrong.append(f"{path.name}: left behind {left}")
            return Played(error.code, error.message)
        loud = loud_windows(track.path.read_bytes())
        track.path.unlink()
        return Played(seconds=track.duration_s, loud_s=loud)

    def expect(self, name: str, got: Played, right: bool, wanted: str) -> None:
        """Keep what is wrong, to be told all at once."""
        if not right:
            self.wrong.append(f"{name}: {wanted} wanted, got {got}")


def loud_windows(wav: bytes) -> float:
    """Seconds of a WAV file (s16le, 16 kHz, mono) in which there is sound."""
    body = wav[wav.index(b"data") + 8 :]
    samples = array.array("h", body[: len(body) // 2 * 2])
    windows = (samples[i : i + _WINDOW : 4] for i in range(0, len(samples) - _WINDOW + 1, _WINDOW))
    return sum(sum(map(abs, w)) / len(w) > LOUD for w in windows) * _WINDOW / 16_000


def counted(outcomes: Mapping[str, int]) -> str:
    """``3 not_media, 2 whole``."""
    return ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items(), key=lambda x: -x[1]))
