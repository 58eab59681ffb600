"""What is learned of a video, from its source and its probe, in the shapes that are stored."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from ingestctl.db.base import VideoFacts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ingestctl.media.base import AudioTrack, Probe, SourceInfo

MAX_TEXT = 2000
"""Characters of a title or channel that are kept."""


def captured(info: SourceInfo | None, probe: Probe) -> dict[str, Any]:
    """JSON for the event that ends the download: survives a crash, so a later attempt can use it."""
    said: dict[str, Any] = {}
    if info is not None:
        said = {
            "title": info.title,
            "channel": info.channel,
            "language": info.language,
            "source_duration_s": info.duration_s,
            "published_at": info.published_at.isoformat() if info.published_at else None,
            "extractor": info.extractor,
            **{f"source_{k}": v for k, v in info.extras.items()},
        }
    streams = [f"{s.kind}:{s.codec}" for s in probe.streams[:20]]
    media = {
        "format": probe.format_name,
        "content_type": probe.content_type,
        "duration_s": probe.duration_s,
        "streams": streams,
    }
    return {k: v for k, v in {**said, **media}.items() if v is not None}


def facts(source: Mapping[str, Any], asked: Mapping[str, Any]) -> VideoFacts:
    """Video facts from what was captured, after what the submitter gave (payload ``metadata``)."""
    if asked.get("capture_source_metadata") is False:
        source = {k: v for k, v in source.items() if k in ("format", "content_type", "duration_s", "streams")}
    duration = source.get("duration_s") or source.get("source_duration_s")
    return VideoFacts(
        title=_text(asked.get("title")) or _text(source.get("title")),
        channel=_text(asked.get("channel")) or _text(source.get("channel")),
        language=_text(asked.get("language_hint")) or _text(source.get("language")),
        duration_ms=_milliseconds(duration),
        published_at=_moment(source.get("published_at")),
        metadata=dict(source),
    )


def audio_details(track: AudioTrack | None) -> dict[str, Any]:
    """How the audio was extracted and checked, for the run's metadata."""
    if track is None:
        return {}
    return {
        "audio": {
            "stream_index": track.stream_index,
            "samples": track.samples,
            "duration_s": round(track.duration_s, 3),
            "claimed_s": track.claimed_s,
            "decode_errors": track.decode_errors,
            "warnings": list(track.warnings),
        }
    }


def _text(value: object) -> str | None:
    return value.strip()[:MAX_TEXT] or None if isinstance(value, str) else None


def _milliseconds(seconds: object) -> int | None:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < 2_000_000:
        return None  # a 32-bit column; what claims more than 23 days is a broken header
    return round(seconds * 1000)


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return moment if moment and moment.tzinfo else None
