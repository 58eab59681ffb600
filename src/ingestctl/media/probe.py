"""What a file is: ffprobe's account of it, and what its own headers declare."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import ffmpeg

from ingestctl.domain.errors import AudioExtractionFailed, NotMedia, ToolMissing
from ingestctl.media import process
from ingestctl.media.base import Probe, Stream
from ingestctl.media.containers import Declared, declared
from ingestctl.media.sniff import HEAD_BYTES, not_media

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.stop import Stop

FORMATS = ",".join(
    (
        *(
            "mov",
            "mp4",
            "m4a",
            "3gp",
            "3g2",
            "mj2",
            "matroska",
            "webm",
            "mpegts",
            "mpeg",
            "flv",
            "avi",
            "asf",
        ),
        *("ogg", "mp3", "aac", "wav", "w64", "flac", "ac3", "eac3", "amr", "aiff", "caf", "au", "mxf", "rm"),
        *("dv", "ivf", "wv", "tta", "ape"),
    )
)
"""The demuxers ffmpeg may use: real containers only. Playlists, manifests, scripts, images and
subtitles are left out, because some of them make ffmpeg read *other* files; NUT, because what is lost in
the middle of one leaves no trace."""

_CONTENT_TYPES = {
    "matroska": "video/x-matroska", "mpegts": "video/mp2t", "mpeg": "video/mpeg", "flv": "video/x-flv",
    "avi": "video/x-msvideo", "asf": "video/x-ms-asf", "ogg": "video/ogg", "mov": "video/mp4",
    "mxf": "application/mxf", "rm": "application/vnd.rn-realmedia", "dv": "video/dv",
    "ivf": "video/x-ivf", "mp3": "audio/mpeg", "aac": "audio/aac", "wav": "audio/wav", "w64": "audio/x-w64",
    "flac": "audio/flac", "ac3": "audio/ac3", "eac3": "audio/eac3", "amr": "audio/amr", "aiff": "audio/aiff",
    "caf": "audio/x-caf", "au": "audio/basic", "wv": "audio/x-wavpack", "tta": "audio/x-tta",
    "ape": "audio/x-ape",
}  # fmt: skip
_CONTENT_SAYS_NO = (
    "Invalid data found", "not on whitelist", "moov atom not found", "End of file", "Invalid argument",
    "could not find", "Could not find", "Operation not permitted", "Failed to read", "Failed to find",
    "no such file type", "Not yet implemented",
)  # fmt: skip


def input_options() -> dict[str, str]:
    """What every input of ffmpeg and ffprobe is opened with: this file, as a real container, nothing else."""
    return {"protocol_whitelist": "file", "format_whitelist": FORMATS}


def file_url(path: Path) -> str:
    """``path`` as ffmpeg cannot misread it: a leading ``-`` or ``concat:`` is only part of a name."""
    return f"file:{path.absolute()}"


def probe(ffprobe: Path, path: Path, *, deadline_s: float, limits: process.Limits, stop: Stop) -> Probe:
    """Tell what ``path`` is; see :meth:`ingestctl.media.base.MediaTool.probe`.

    A damaged file that is recognisably a media container raises AudioExtractionFailed; anything that
    kept ffprobe itself from running does too (retryable), or ToolMissing. Neither is ever NotMedia.
    """
    with path.open("rb") as file:
        what = not_media(file.read(HEAD_BYTES))
    if what is not None:
        raise NotMedia(f"The file is {what}, not a video", evidence=what)
    size, own = path.stat().st_size, declared(path)
    answer = _ask(ffprobe, path, own, deadline_s, limits, stop)
    form = answer.get("format") or {}
    begin = _number(form.get("start_time")) or 0.0
    streams = tuple(_stream(s, own, begin) for s in answer.get("streams") or () if isinstance(s, dict))
    kinds = {s.kind for s in streams}
    if "audio" not in kinds and own.size is not None and size < own.size:
        raise truncated(size, own.size)
    if kinds.isdisjoint(("audio", "video")):
        raise NotMedia("The file holds neither video nor audio", evidence=f"streams: {sorted(kinds)}")
    name = str(form.get("format_name") or "unknown")
    return Probe(
        format_name=name,
        content_type=_content_type(name, own, streams),
        duration_s=_seconds(form.get("duration")),
        size_bytes=size,
        streams=streams,
        declared_size=own.size,
    )


def _ask(
    ffprobe: Path, path: Path, own: Declared, deadline_s: float, limits: process.Limits, stop: Stop
) -> dict[str, Any]:
    options = ffmpeg.input(file_url(path), **input_options()).node.kwargs
    del options["filename"]
    argv = [str(ffprobe), "-hide_banner", "-loglevel", "error", "-threads", "1", "-print_format", "json"]
    argv += ["-show_format", "-show_streams"]
    for key, value in options.items():
        argv += [f"-{key}", str(value)]
    done = process.run(
        [*argv, "-i", file_url(path)],
        deadline_s=deadline_s,
        stop=stop,
        cwd=path.absolute().parent,
        limits=limits,
        stdout_limit=4 << 20,
    )
    if done.returncode == 0 and not done.stdout_truncated:
        try:
            answer = json.loads(done.stdout)
        except ValueError:
            answer = None
        if isinstance(answer, dict) and answer.get("format"):
            return answer
    raise _failure(done, path, own)


def _failure(done: process.Finished, path: Path, own: Declared) -> Exception:
    said = "\n".join(done.stderr_tail)
    evidence = done.evidence.replace(f"{file_url(path)}: ", "")
    if done.returncode in (126, 127):
        return ToolMissing(f"ffprobe does not run: {evidence}", evidence=evidence)
    if done.stdout_truncated:
        return NotMedia("The file's description is absurdly long; it is not a video", evidence="over 4 MiB")
    if done.returncode < 0 or not any(words in said for words in _CONTENT_SAYS_NO):
        message = f"ffprobe could not examine the file: {evidence}"
        return AudioExtractionFailed(message, evidence=evidence, retryable="yes")
    size = path.stat().st_size
    if own.size is not None and size < own.size:
        return truncated(size, own.size)
    if own.kind is not None:
        return AudioExtractionFailed(
            f"The file is a damaged {own.kind} container: {evidence}", evidence=evidence
        )
    return NotMedia(f"The file is not a video: {evidence}", evidence=evidence)


def truncated(size: int, claimed: int) -> AudioExtractionFailed:
    """The error for a file that is shorter than its container declares; another download may be whole."""
    return AudioExtractionFailed(
        f"The file is cut short: it has {size} bytes, but its container declares {claimed}",
        evidence=f"{size} bytes of {claimed} declared",
        retryable="yes",
        hint="Fetch it again; if it stays short, the source itself is cut: submit another.",
    )


def _seconds(value: object) -> float | None:
    if isinstance(value, str) and value.count(":") == 2:  # Matroska's DURATION tag: 00:00:08.023000000
        try:
            hours, minutes, rest = value.split(":")
            return int(hours) * 3600 + int(minutes) * 60 + float(rest)
        except ValueError:
            return None
    seconds = _number(value)
    return seconds if seconds is not None and seconds > 0 else None


def _number(value: object) -> float | None:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None


def _integer(value: object) -> int | None:
    try:
        return int(value)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError):
        return None


def _stream(found: dict[str, Any], own: Declared, begin: float) -> Stream:
    counted = (own.kind == "mp4" and not own.fragmented) or (own.flavour == "AVI" and own.size is not None)
    flags = found.get("disposition") or {}
    tags = {str(k).lower(): v for k, v in (found.get("tags") or {}).items()}
    language = str(tags.get("language") or "")[:35]
    codec = str(found.get("codec_name") or "unknown")
    return Stream(
        index=int(found["index"]),
        kind=str(found.get("codec_type") or "unknown"),
        codec=codec,
        default=bool(flags.get("default")),
        attached_pic=bool(flags.get("attached_pic") or flags.get("still_image")),
        duration_s=_seconds(found.get("duration")) or _seconds(tags.get("duration")),
        late_s=max(0.0, (_number(found.get("start_time")) or begin) - begin),
        language=language if language not in ("", "und") else None,
        channels=_integer(found.get("channels")),
        sample_rate=_integer(found.get("sample_rate")),
        width=_integer(found.get("width")),
        height=_integer(found.get("height")),
        # The index of raw PCM counts samples, which are read many to a packet.
        packets=_integer(found.get("nb_frames")) if counted and not codec.startswith("pcm_") else None,
        size_bytes=own.audio_bytes.get(int(found["index"])),
    )


def _content_type(name: str, own: Declared, streams: tuple[Stream, ...]) -> str:
    family = name.split(",", 1)[0]
    flavour = (own.flavour or "").strip().lower()
    whole = _CONTENT_TYPES.get(family, "application/octet-stream")
    if family == "mov" and flavour == "qt":
        whole = "video/quicktime"
    elif family == "mov" and flavour.startswith("3g"):
        whole = "video/3gpp2" if flavour.startswith("3g2") else "video/3gpp"
    elif family == "matroska" and flavour == "webm":
        whole = "video/webm"
    has_video = any(s.kind == "video" and not s.attached_pic for s in streams)
    return whole if has_video or whole == "video/quicktime" else whole.replace("video/", "audio/", 1)
