"""The media contracts: what the pipeline asks of fetching, probing and extracting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from ingestctl.domain.source import Source
    from ingestctl.domain.stop import Stop

TOO_LONG = "If it is wanted all the same, raise INGESTCTL_MAX_DURATION_SECONDS."


@dataclass(frozen=True, slots=True)
class SourceInfo:
    """What the source says of itself. Free text is as it came: not yet safe to print."""

    title: str | None = None
    channel: str | None = None
    language: str | None = None
    duration_s: float | None = None
    published_at: datetime | None = None
    extractor: str | None = None
    extras: Mapping[str, Any] = field(default_factory=dict)
    """JSON-safe: extractor id, format id, webpage URL (query redacted), and the like."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A finished download: one file in the scratch folder and what the source said of it."""

    path: Path
    info: SourceInfo


class DownloadListener(Protocol):
    """Told how a download goes, from the thread that downloads. Must return quickly; may raise to stop it."""

    def growing(self, path: Path, downloaded: int, total: int | None) -> None:
        """``path`` is a single progressive file being appended to; ``downloaded`` bytes so far.

        Only sent for downloads whose final bytes are the bytes of this growing file (no fragments,
        no separate audio and video). A smaller ``downloaded`` than before means it began again.
        """
        ...

    def progress(self, downloaded: int, total: int | None) -> None:
        """Any download, for people: bytes so far and the expected total, if known."""
        ...


class Fetcher(Protocol):
    """Fetches youtube and external_url sources into a folder."""

    def fetch(self, source: Source, into: Path, listener: DownloadListener, stop: Stop) -> Fetched:
        """Download ``source`` as one file below ``into``, whole or not at all.

        Raises SourceFailed (cause and evidence set), SourceRefused (address, scheme, size or duration
        not allowed), NotMedia, ScratchFull, DeadlineExceeded, or what ``stop`` was asked with. A file
        with holes is never returned. On return no child process is alive.
        """
        ...


@dataclass(frozen=True, slots=True)
class Stream:
    """One stream of a media file, as ffprobe tells it."""

    index: int
    kind: str
    """``video``, ``audio``, ``subtitle``, ``data`` or ``attachment``."""
    codec: str
    default: bool = False
    attached_pic: bool = False
    duration_s: float | None = None
    late_s: float = 0.0
    """How long after the file's first timestamp this stream begins."""
    language: str | None = None
    channels: int | None = None
    sample_rate: int | None = None
    width: int | None = None
    height: int | None = None
    packets: int | None = None
    """How many packets the container's index lists for this stream, where it has one that counts packets."""
    size_bytes: int | None = None
    """How many bytes of this stream the container's index lists, where it has one that counts bytes."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a file is. ``content_type`` is told from the bytes, never from its name."""

    format_name: str
    content_type: str
    duration_s: float | None
    size_bytes: int
    streams: tuple[Stream, ...]
    declared_size: int | None = None
    """The size the container claims for itself (MP4 boxes, Matroska segment, RIFF), where it claims one."""

    @property
    def video(self) -> Stream | None:
        """The first video stream that is not cover art."""
        return next((s for s in self.streams if s.kind == "video" and not s.attached_pic), None)

    @property
    def audio(self) -> Stream | None:
        """The audio track to extract: the default-flagged one, else the first."""
        tracks = [s for s in self.streams if s.kind == "audio"]
        return next((s for s in tracks if s.default), tracks[0] if tracks else None)


@dataclass(frozen=True, slots=True)
class AudioTrack:
    """A finished extraction: a WAV file and how it was checked."""

    path: Path
    stream_index: int
    samples: int
    duration_s: float
    claimed_s: float | None
    decode_errors: int
    warnings: tuple[str, ...] = ()


class MediaTool(Protocol):
    """ffprobe and ffmpeg. Opens nothing but the file it is given; every call has a deadline and limits."""

    def probe(self, path: Path, stop: Stop) -> Probe:
        """Tell what ``path`` is. Raises NotMedia (readable, and no audio or video container),
        ToolMissing, DeadlineExceeded. A probe that could not run is never NotMedia."""
        ...

    def extract_audio(self, path: Path, probe: Probe, into: Path, stop: Stop) -> AudioTrack:
        """Decode ``probe.audio`` to WAV (PCM s16le, 16 kHz, mono) and prove that nothing was lost.

        Raises NoAudioStream, AudioExtractionFailed (with ffmpeg's line as evidence), ScratchFull,
        ToolMissing, DeadlineExceeded. On failure nothing is left under ``into``.
        """
        ...
