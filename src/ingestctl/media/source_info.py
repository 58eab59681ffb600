"""What a source says of itself, made JSON-safe and bounded."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit, urlunsplit

from ingestctl.media.base import SourceInfo

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAX_TEXT = 500
_EXTRAS = (
    "id", "format_id", "ext", "protocol", "live_status", "availability", "age_limit", "uploader_id",
    "channel_id", "width", "height", "fps", "vcodec", "acodec", "view_count", "categories",
)  # fmt: skip


def source_info(info: Mapping[str, Any]) -> SourceInfo:
    """Pick what is kept of yt-dlp's info dictionary."""
    extras = {key: value for key in _EXTRAS if (value := _plain(info.get(key))) is not None}
    page = info.get("webpage_url") or info.get("original_url")
    if isinstance(page, str):
        extras["webpage_url"] = _without_secrets(page)
    duration = info.get("duration")
    is_length = isinstance(duration, (int, float)) and math.isfinite(duration) and duration > 0
    return SourceInfo(
        title=_text(info.get("title")),
        channel=_text(info.get("channel") or info.get("uploader")),
        language=_text(info.get("language"), 35),
        duration_s=float(duration) if is_length and duration is not None else None,
        published_at=_published(info),
        extractor=_text(info.get("extractor_key")),
        extras=extras,
    )


def _text(value: object, most: int = _MAX_TEXT) -> str | None:
    if not isinstance(value, str):
        return None
    # NUL and lone surrogates cannot be stored as JSON or text in PostgreSQL.
    clean = value.replace("\0", "").encode("utf-8", "replace").decode().strip()
    return clean[:most] or None


def _plain(value: object) -> Any:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list | tuple):
        return [text for item in value[:20] if (text := _text(item))] or None
    return None


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    keep = parts.query if (parts.hostname or "").endswith(("youtube.com", "youtu.be")) else ""
    query = keep or ("[redacted]" if parts.query else "")
    return (_text(urlunsplit((parts.scheme, host, parts.path, query, "")), 2000)) or ""


def _published(info: Mapping[str, Any]) -> datetime | None:
    stamp = info.get("release_timestamp") or info.get("timestamp")
    try:
        if isinstance(stamp, (int, float)):
            return datetime.fromtimestamp(stamp, UTC)
        day = info.get("release_date") or info.get("upload_date")
        return datetime.strptime(str(day), "%Y%m%d").replace(tzinfo=UTC) if day else None
    except (ValueError, OverflowError, OSError):
        return None
