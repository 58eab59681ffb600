"""The MediaTool over ffmpeg and ffprobe."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import ffmpeg

from ingestctl.domain.errors import (
    AudioExtractionFailed,
    DeadlineExceeded,
    NotMedia,
    ScratchFull,
    SourceRefused,
    ToolMissing,
)
from ingestctl.media import process
from ingestctl.media.audio import Bounds, extract, plausible_s
from ingestctl.media.base import TOO_LONG
from ingestctl.media.probe import file_url, input_options, probe

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import AudioTrack, Probe
    from ingestctl.media.tools import Tools


@dataclass(frozen=True, slots=True)
class MediaLimits:
    """Durations in seconds, memory in bytes of address space per child, threads per decoder."""

    max_duration_s: float = 12 * 3600
    probe_deadline_s: float = 60
    base_deadline_s: float = 120
    slowest_speed: float = 20
    """The slowest decoding still waited for, in seconds of media per second (1,160 is usual)."""
    memory: int = 4 << 30
    threads: int = 4
    """For decoding video; sound is decoded, and files are probed, with one."""

    def deadline(self, duration_s: float | None) -> float:
        """How long work on media of that length may take."""
        length = min(duration_s or self.max_duration_s, self.max_duration_s)
        return self.base_deadline_s + length / self.slowest_speed


@dataclass(frozen=True, slots=True)
class DecodeCheck:
    """``bad`` only when the file itself was found wanting; a check that could not run is ``unknown``."""

    state: Literal["ok", "bad", "unknown"]
    evidence: str | None = None


class FFmpegTool:
    """Probes and extracts with ffmpeg. ``tools`` finds the programs when first needed (see media.tools)."""

    def __init__(self, tools: Callable[[], Tools], *, limits: MediaLimits | None = None) -> None:
        self._tools = tools
        self._limits = limits or MediaLimits()

    def probe(self, path: Path, stop: Stop) -> Probe:
        """See :class:`ingestctl.media.base.MediaTool`."""
        return probe(
            self._tools().ffprobe,
            path,
            deadline_s=self._limits.probe_deadline_s,
            limits=process.Limits(memory=self._limits.memory),
            stop=stop,
        )

    def extract_audio(self, path: Path, probe: Probe, into: Path, stop: Stop) -> AudioTrack:
        """See :class:`ingestctl.media.base.MediaTool`. Raises SourceRefused when the track is too long."""
        claimed = probe.audio.duration_s if probe.audio else None
        most = self._limits.max_duration_s
        # A fragmented MP4 may claim anything; only an honest stream's claim is refused beforehand.
        if claimed is not None and claimed > most and claimed <= plausible_s(probe.size_bytes):
            words = f"The audio is {claimed:.0f} s long; at most {most:.0f} s are ingested"
            raise SourceRefused(words, hint=TOO_LONG)
        bounds = Bounds(most, self._limits.deadline(probe.duration_s), self._limits.memory)
        return extract(self._tools().ffmpeg, path, probe, into, bounds, stop)

    def check_decodes(self, path: Path, stop: Stop) -> DecodeCheck:
        """Decode every video and audio stream of ``path`` and tell whether that went without an error.

        Raises only what ``stop`` was asked with.
        """
        try:
            found = self.probe(path, stop)
        except (NotMedia, AudioExtractionFailed) as error:
            could_not_run = isinstance(error, AudioExtractionFailed) and "could not examine" in error.message
            return DecodeCheck("unknown" if could_not_run else "bad", error.evidence or error.message)
        except (ToolMissing, DeadlineExceeded, ScratchFull, OSError) as error:
            return DecodeCheck("unknown", str(error))
        if found.declared_size is not None and found.size_bytes < found.declared_size:
            return DecodeCheck("bad", f"{found.size_bytes} bytes of {found.declared_size} declared")
        return self._decode_all(path, found, stop)

    def _decode_all(self, path: Path, found: Probe, stop: Stop) -> DecodeCheck:
        source = ffmpeg.input(file_url(path), threads=self._limits.threads, **input_options())
        streams = [
            s for s in (found.video, *(t for t in found.streams if t.kind == "audio")) if s is not None
        ]
        output = ffmpeg.output(*(source[str(s.index)] for s in streams), "-", f="null").global_args(
            "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror"
        )
        argv = [str(self._tools().ffmpeg), *output.get_args()]
        try:
            done = process.run(
                argv,
                # Video decodes far slower than audio, but never slower than it plays.
                deadline_s=self._limits.base_deadline_s + (found.duration_s or self._limits.max_duration_s),
                stop=stop,
                cwd=path.absolute().parent,
                limits=process.Limits(memory=self._limits.memory),
            )
        except (ToolMissing, DeadlineExceeded) as error:
            return DecodeCheck("unknown", error.message)
        if done.returncode == 0 and not done.stderr_tail:
            return DecodeCheck("ok")
        said = "\n".join(done.stderr_tail)
        no_decoder = "Decoder not found" in said or "no decoder found" in said or "not implemented" in said
        unable = done.returncode < 0 or no_decoder or "Cannot allocate memory" in said
        return DecodeCheck("unknown" if unable else "bad", done.stderr_tail[0] if said else done.evidence)
