"""Extracting audio with ffmpeg, and proving that none of it was lost.

ffmpeg's exit status is no verdict: it is 0 for most truncated and damaged files. Measured on
ffmpeg 8.1, what tells is the number of decoded samples beside what the container claims, and
what ffmpeg says while it decodes. A claim alone may be wrong both ways (estimated MP3, fragmented
MP4, recorder WebM), so a short result is only a failure when there is also a trace of damage. Where there
is no claim to hold the result against, the trace alone is one.
"""

from __future__ import annotations

import re
import shutil
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import ffmpeg

from ingestctl.domain.errors import AudioExtractionFailed, NoAudioStream, ScratchFull
from ingestctl.media import process
from ingestctl.media.base import AudioTrack, Probe, Stream
from ingestctl.media.endings import ruined_end
from ingestctl.media.probe import file_url, input_options, truncated

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.stop import Stop

SAMPLE_RATE = 16_000
BYTES_PER_SECOND = SAMPLE_RATE * 2
TOLERANCE_S = 0.25
"""How much shorter than claimed the audio may be: encoder delay and padding, never a lost segment."""
_DAMAGED_TOLERANCE_S = 0.1
"""The same for a file with a trace of damage: what two packets hold."""
_STREAMED_ERRORS = 2
"""Undecodable packets allowed in containers without an index, whose first and last packets are often cut."""
_SPARE_BYTES = 64 << 20
_LEAST_BYTES_PER_SECOND = 250
"""Below the thinnest speech codec: a file that claims more seconds for its size claims nonsense."""
_UNBOUND = ("mpegts", "mpeg", "ogg")
"""Formats whose length ffprobe reads off the last timestamp there is: no claim of the container's own."""

_COUNTS = re.compile(
    r"Input stream #\d+:\d+ \(audio\): (\d+) packets read \((\d+) bytes\)"
    r".*?(\d+) frames decoded(?:; (\d+) decode errors)?"
)
# An Ogg page whose checksum is wrong is dropped, with every packet in it; a FLAC frame is noise.
_LOST_PACKET = re.compile(
    r"Error submitting (?:a )?packet to decoder|Decoding error:|Error while decoding stream"
    r"|CRC mismatch!|CRC error"
)
_DEMUX_DAMAGE = re.compile(
    r"\[in#\d+[^]]*\] \[error\]"
    r"|\[(?:mov|matroska|mpegts|mpeg|flv|avi|asf|ogg|mp3|aac|wav|flac|mxf)[^]]*@[^]]*\] \[error\]"
    r"|edit unit sync lost|broken or empty index"
    r"|Packet corrupt|corrupt input packet|partial file|File ended prematurely|CRC mismatch|CRC error"
    r"|filesize and duration do not match"
)


@dataclass(slots=True)
class _Account:
    """What ffmpeg said while it decoded."""

    packets: int | None = None
    size_bytes: int | None = None
    frames: int = 0
    decode_errors: int = 0
    damage: list[str] = field(default_factory=list)
    ruined_end: bool = False
    _said_errors: int = 0
    _said_noise: int = 0

    def hear(self, line: str) -> None:
        counts = _COUNTS.search(line)
        if counts:
            self.packets, self.size_bytes, self.frames = int(counts[1]), int(counts[2]), int(counts[3])
            self.decode_errors = max(self.decode_errors, int(counts[4] or 0))
            return
        if _LOST_PACKET.search(line):
            self._said_errors += 1
        elif "frame CRC mismatch" in line:  # decoded all the same, into noise; often said beside an error
            self._said_noise += 1
        elif not _DEMUX_DAMAGE.search(line):
            return
        self.decode_errors = max(self.decode_errors, self._said_errors, self._said_noise)
        if len(self.damage) < 20:
            self.damage.append(re.sub(r" @ 0x[0-9a-f]+", "", line)[:300])


@dataclass(frozen=True, slots=True)
class Bounds:
    """What an extraction may use: seconds of audio, seconds of work, and the child's memory in bytes."""

    max_duration_s: float
    deadline_s: float
    memory: int

    def output_bytes(self, claimed_s: float | None) -> int:
        """The largest WAV that is let grow: the absolute limit, or far beyond the claim if that is less."""
        most = self.max_duration_s * BYTES_PER_SECOND
        if claimed_s is not None:
            most = min(most, (claimed_s * 4 + 600) * BYTES_PER_SECOND)
        return int(most) + 4096


def extract(
    ffmpeg_path: Path, path: Path, probe: Probe, into: Path, bounds: Bounds, stop: Stop
) -> AudioTrack:
    """Decode ``probe.audio`` to ``into/audio.wav``; see :class:`ingestctl.media.base.MediaTool`."""
    track = probe.audio
    if track is None:
        raise NoAudioStream("The video has no audio track")
    if probe.declared_size is not None and probe.size_bytes < probe.declared_size:
        raise truncated(probe.size_bytes, probe.declared_size)
    claimed = track.duration_s or probe.duration_s
    _check_space(into, min(claimed or 0, plausible_s(probe.size_bytes)))
    target = into / "audio.wav"
    try:
        account = _decode(ffmpeg_path, path, track, target, bounds, claimed, stop)
        if (end := ruined_end(path)) is not None:
            account.ruined_end = True
            account.damage.insert(0, end)
        samples = wav_samples(target)
        warnings = _judge(account, track, probe, samples, claimed)
    except BaseException:
        target.unlink(missing_ok=True)
        raise
    return AudioTrack(
        path=target,
        stream_index=track.index,
        samples=samples,
        duration_s=samples / SAMPLE_RATE,
        claimed_s=claimed,
        decode_errors=account.decode_errors,
        warnings=warnings,
    )


def arguments(ffmpeg_path: Path, path: Path, stream_index: int, target: Path) -> list[str]:
    """The command line. Bit-exact and without metadata, so that one input always gives the same bytes."""
    source = ffmpeg.input(file_url(path), threads=1, err_detect="crccheck", **input_options())
    output = ffmpeg.output(
        source[str(stream_index)],
        file_url(target),
        vn=None, sn=None, dn=None,
        acodec="pcm_s16le", ar=SAMPLE_RATE, ac=1,
        map_metadata=-1, map_chapters=-1, bitexact=None, rf64="auto", f="wav",
    ).global_args(
        "-nostdin", "-hide_banner", "-loglevel", "repeat+level+verbose", "-filter_threads", "1", "-y"
    )  # fmt: skip
    return [str(ffmpeg_path), *output.get_args()]


def _decode(
    ffmpeg_path: Path,
    path: Path,
    track: Stream,
    target: Path,
    bounds: Bounds,
    claimed: float | None,
    stop: Stop,
) -> _Account:
    account = _Account()
    most = bounds.output_bytes(claimed)
    done = process.run(
        arguments(ffmpeg_path, path, track.index, target),
        deadline_s=bounds.deadline_s,
        stop=stop,
        cwd=target.absolute().parent,
        limits=process.Limits(memory=bounds.memory, file_size=most),
        on_line=account.hear,
    )
    done.raise_if_full()
    if target.exists() and target.stat().st_size >= most:
        raise AudioExtractionFailed(
            f"The audio decodes to more than {most} bytes, the limit where {claimed or 0:.0f} s are claimed",
            evidence=f"output stopped at {most} bytes",
        )
    if done.returncode != 0:
        raise AudioExtractionFailed(
            f"ffmpeg could not extract the audio: {done.evidence}",
            evidence=(account.damage or [done.evidence])[-1],
            retryable="yes" if done.returncode < 0 else None,
        )
    return account


def _judge(
    account: _Account, track: Stream, probe: Probe, samples: int, claimed: float | None
) -> tuple[str, ...]:
    """Raise AudioExtractionFailed if audio was lost; otherwise say what was odd."""
    seconds = samples / SAMPLE_RATE
    evidence = account.damage[0] if account.damage else None
    if samples == 0:
        raise AudioExtractionFailed("No audio could be decoded: the track gave 0 samples", evidence=evidence)
    indexed = probe.format_name.startswith(("mov", "matroska"))
    if account.decode_errors > (0 if indexed else _STREAMED_ERRORS):
        total = account.packets or account.frames + account.decode_errors
        raise AudioExtractionFailed(
            f"The audio is damaged: {account.decode_errors} of {total} packets could not be decoded",
            evidence=evidence,
        )
    if account.damage and (claimed is None or (account.ruined_end and probe.format_name in _UNBOUND)):
        raise AudioExtractionFailed(
            f"The file is damaged, and nothing tells how much more than {seconds:.2f} s of audio it had",
            evidence=evidence,
        )
    lost = _lost_packets(account, track)
    if lost and seconds < 1 and (account.packets or 0) * 10 < (track.packets or 0):
        raise AudioExtractionFailed("The file's header hides nearly all of its audio", evidence=lost)
    missing = 0.0 if claimed is None else claimed - seconds
    if account.damage:
        missing += max(0.0, track.late_s)  # what came before the first packet that is left
    if missing <= (_DAMAGED_TOLERANCE_S if account.damage else TOLERANCE_S):
        return tuple(account.damage[:5])
    if account.damage or lost:
        raise AudioExtractionFailed(
            f"Audio is missing: {seconds:.2f} s were decoded, and {seconds + missing:.2f} s should be there",
            evidence=evidence or lost,
        )
    note = f"the container claims {claimed:.2f} s of audio, and {seconds:.2f} s decoded without any error"
    return (note, *account.damage[:5])


def _lost_packets(account: _Account, track: Stream) -> str | None:
    """What the index lists and the file did not give, where the index counts packets or bytes."""
    if account.packets is not None and track.packets is not None and account.packets < track.packets:
        return f"{account.packets} audio packets read of {track.packets} in the index"
    read, listed = account.size_bytes, track.size_bytes
    if read is not None and listed is not None and read < listed:
        return f"{read} bytes of audio read of {listed} in the index"
    return None


def plausible_s(size_bytes: int) -> float:
    """The longest a file of that size can be without what it claims being nonsense."""
    return size_bytes / _LEAST_BYTES_PER_SECOND


def _check_space(into: Path, seconds: float) -> None:
    needed = int(seconds * BYTES_PER_SECOND) + _SPARE_BYTES
    free = shutil.disk_usage(into).free
    if free < needed:
        raise ScratchFull(
            f"The audio needs about {needed} bytes of scratch space and {free} are free in {into}"
        )


def wav_samples(path: Path) -> int:
    """The number of samples in a WAV or RF64 file's data chunk, by what is there and not by what it says."""
    length = path.stat().st_size
    with path.open("rb") as file:
        if file.read(12)[8:12] != b"WAVE":
            return 0
        while len(header := file.read(8)) == 8:
            kind, size = struct.unpack("<4sI", header)
            if kind == b"data":
                return (
                    max(0, length - file.tell()) // 2
                    if size == 0xFFFFFFFF
                    else min(size, length - file.tell()) // 2
                )
            file.seek(size + (size & 1), 1)
    return 0
